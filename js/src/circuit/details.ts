// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { h, hasFocus, setText } from "../shared/dom";
import { verdictOn, type Circuit } from "./top-circuit";
import { counted, formatCount, formatScore } from "./format";
import {
  boxAt,
  describeBox,
  destinationOf,
  positionName,
  positionOf,
  sourceName,
  spotName,
  type Graph,
} from "./graph";
import { createGathering } from "./gathering";
import type { GroupData, Port } from "./model";
import { edgeName } from "./names";
import type { Target } from "./search";

const MOST_ROWS = 60;
const HINT =
  "Point at a node or an edge, or move to a node with Tab and the arrow keys. " +
  "Click or Enter pins it; X, or Shift and a click, switches it off or on.";

export interface Details {
  element: HTMLElement;
  /** Shows a node's edges, by importance; without a node, what the circuit is like. */
  show(shown: {
    graph: Graph;
    circuit: Circuit;
    scores: Float32Array;
    target: Target | null;
    edges: readonly number[];
    pinned: boolean;
    /** Of each edge whether it was switched by hand: -1 off, 1 on; null: none was. */
    changes: Int8Array | null;
    groups: readonly GroupData[];
  }): void;
  /** Shows one edge. */
  showEdge(shown: {
    graph: Graph;
    circuit: Circuit;
    scores: Float32Array;
    edge: number;
    /** Its place by importance, from 1. */
    rank: number;
    /** What switching it alone changes, in words. */
    effect: string;
    pinned: boolean;
  }): void;
}

export interface DetailsEvents {
  /** Keep a node or an edge of this name in view. */
  pin: (name: string) => void;
  unpin: () => void;
  /** Switch a node or an edge on or off. */
  toggle: (name: string) => void;
  /** Put a node into a group; empty: into none. */
  gather: (node: string, group: string) => void;
  annotate: (group: string, note: string) => void;
}

/** The list beside the picture. */
export function createDetails(prefix: string, events: DetailsEvents): Details {
  const title = h("span", { class: "spc-details-title" });
  const words = h("p", { class: "spc-words" });
  const release = h("button", { type: "button", class: "spc-button", hidden: true }, "Unpin");
  const toggle = h("button", { type: "button", class: "spc-button", title: "X" });
  const gathering = createGathering(prefix, events);
  let name = "";
  const lists = h("div", { class: "spc-lists" });
  const element = h(
    "div",
    { class: "spc-details", role: "region", "aria-label": "Node or edge in view", tabindex: "0" },
    h("div", { class: "spc-details-head" }, title, gathering.element, toggle, release),
    words,
    lists,
  );
  release.addEventListener("click", events.unpin);
  toggle.addEventListener("click", () => {
    events.toggle(name);
  });
  lists.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("button") : null;
    if (link) events.pin(link.dataset.name ?? "");
  });
  /** Shows what is in view, and whether a press switches it off. */
  const head = (text: string, inView: string, isIn: boolean, pinned: boolean): void => {
    if (name !== inView) element.scrollTop = 0;
    name = inView;
    setText(title, text);
    // A press on it pins first: what is only pointed at is gone before the pointer arrives.
    toggle.hidden = !pinned;
    setText(toggle, isIn ? "Switch off" : "Switch on");
    release.hidden = !pinned;
    element.dataset.target = String(inView !== "");
  };
  /** Shows a list; without taking the focus out of it where it is what it was. */
  const fill = (...parts: Node[]): void => {
    const next = h("div", { class: lists.className }, ...parts);
    if (next.isEqualNode(lists)) return;
    const held = hasFocus(lists);
    lists.replaceChildren(...next.childNodes);
    if (held) element.focus({ preventScroll: true });
  };
  const link = (text: string, to: string, label = ""): HTMLElement =>
    h(
      "button",
      {
        type: "button",
        class: "spc-link",
        "data-name": to,
        ...(label ? { "aria-label": label } : {}),
      },
      text,
    );

  return {
    element,
    showEdge({ graph, circuit, scores, edge, rank, effect, pinned }) {
      const { name: dest } = destinationOf(graph, edge);
      const isIn = circuit.included[edge] === 1;
      head(`${sourceName(graph, edge)} → ${dest}`, edgeName(graph, edge), isIn, pinned);
      const parts = [
        `Score ${formatScore(scores[edge]!)}`,
        `rank ${formatCount(rank)} of ${formatCount(graph.nEdges)}`,
        ...(graph.data.positions ? [`position ${positionName(graph, graph.position[edge]!)}`] : []),
        isIn ? (circuit.carrying[edge] ? "on a path" : "on no path") : "not in the circuit",
      ];
      setText(words, parts.join(", "));
      gathering.show(null, []);
      const end = (label: string, spot: number): HTMLElement =>
        h("li", { class: "spc-row" }, label, link(boxAt(graph, spot).name, spotName(graph, spot)));
      fill(
        h("p", { class: "spc-edge-effect", role: "status" }, effect),
        h(
          "ul",
          { class: "spc-rows", "aria-label": "Its ends" },
          end("From", graph.from[edge]!),
          end("To", graph.to[edge]!),
        ),
      );
    },
    show({ graph, circuit, scores, target, edges, pinned, changes, groups }) {
      // A group has its nodes at all token positions; the last one is where the logits count.
      const at = (node: string): string =>
        graph.data.positions ? `${graph.nPositions - 1}:${node}` : node;
      if (!target) {
        head("The circuit", "", false, false);
        setText(words, `${inWords(graph, circuit)} ${HINT}`);
        gathering.show(null, groups);
        fill(
          ...groups.flatMap((group) => [
            h("p", { class: "spc-heading" }, group.name),
            ...(group.note ? [h("p", { class: "spc-note" }, group.note)] : []),
            h("p", { class: "spc-members" }, ...group.nodes.map((node) => link(node, at(node)))),
          ]),
        );
        return;
      }
      const box = boxAt(graph, target.spot);
      head(
        target.port ? `${box.name}.${target.port}` : box.name,
        spotName(graph, target.spot),
        circuit.degree[target.spot]! > 0,
        pinned,
      );
      const place = graph.data.positions
        ? `, position ${positionName(graph, positionOf(graph, target.spot))}`
        : "";
      setText(words, describeBox(box) + place);
      gathering.show(pinned ? box.name : null, groups);
      const row = (edge: number, other: number, port: Port): HTMLElement => {
        const verdict = verdictOn(circuit, edge);
        const off = changes?.[edge] === -1;
        const idle = verdict !== "miss" && !off && !circuit.carrying[edge];
        const tag = changes?.[edge] ? (off ? "off" : "on") : (verdict ?? "");
        const score = formatScore(scores[edge]!);
        const toEdge = link(
          score,
          edgeName(graph, edge),
          `Edge ${edgeName(graph, edge)}, ${score}`,
        );
        toEdge.classList.add("spc-score");
        return h(
          "li",
          { class: "spc-row" },
          link(boxAt(graph, other).name + (port ? `.${port}` : ""), spotName(graph, other)),
          h("span", { class: "spc-tag" }, tag, idle ? " no path" : ""),
          toEdge,
        );
      };
      const list = (heading: string, rows: readonly number[], side: "from" | "to"): Node[] => {
        if (rows.length === 0) return [];
        const shown = rows.slice(0, MOST_ROWS);
        const label = `${heading} (${formatCount(rows.length)})`;
        return [
          h("p", { class: "spc-heading", "aria-hidden": "true" }, label),
          h(
            "ul",
            { class: "spc-rows", "aria-label": label },
            ...shown.map((edge) =>
              row(edge, graph[side][edge]!, side === "to" ? destinationOf(graph, edge).port : ""),
            ),
            ...(rows.length > shown.length
              ? [
                  h(
                    "li",
                    { class: "spc-more" },
                    `and ${formatCount(rows.length - shown.length)} weaker`,
                  ),
                ]
              : []),
          ),
        ];
      };
      const into = edges.filter((edge) => graph.to[edge] === target.spot);
      const ports: Port[] = ["Q", "K", "V", ""];
      const parts = ports.flatMap((port) =>
        list(
          port ? `${port} reads` : "Reads",
          into.filter((edge) => destinationOf(graph, edge).port === port),
          "from",
        ),
      );
      const out = edges.filter((edge) => graph.from[edge] === target.spot);
      parts.push(...list("Is read by", out, "to"));
      fill(
        ...(parts.length > 0 ? parts : [h("p", { class: "spc-words" }, "No edge in the circuit.")]),
      );
    },
  };
}

/** The edges of a node that are in the circuit, missed or switched off, each by importance. */
export function edgesOf(
  graph: Graph,
  circuit: Circuit,
  target: Target,
  off: Uint32Array,
): number[] {
  const touches = (edge: number): boolean =>
    (graph.to[edge] === target.spot &&
      (!target.port || destinationOf(graph, edge).port === target.port)) ||
    (!target.port && graph.from[edge] === target.spot);
  const edges: number[] = [];
  for (let rank = 0; rank < circuit.size; rank++) {
    const edge = circuit.order[rank]!;
    if (touches(edge)) edges.push(edge);
  }
  edges.push(...off.filter(touches));
  edges.push(...circuit.misses.filter((edge) => touches(edge) && !off.includes(edge)));
  return edges;
}

/** The circuit in a sentence or two. */
export function inWords(graph: Graph, circuit: Circuit): string {
  if (circuit.order.length === 0) {
    return `${counted(graph.nEdges, "edge")} between ${counted(graph.nSpots, "node")}.`;
  }
  const idle = circuit.size - circuit.nCarrying;
  const sentences = [
    `${counted(circuit.size, "edge")} of ${formatCount(graph.nEdges)}, ` +
      `${counted(circuit.nAlive, "node")} on a path from input to output.`,
  ];
  if (idle > 0) {
    sentences.push(`${counted(idle, "edge")} ${idle === 1 ? "lies" : "lie"} on no path.`);
  }
  if (circuit.reference) {
    const all = circuit.hits + circuit.misses.length;
    sentences.push(
      `${formatCount(circuit.hits)} of the ${counted(all, "edge")} of the other circuit are in it.`,
    );
  }
  return sentences.join(" ");
}

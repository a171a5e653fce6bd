// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { h, setText } from "../shared/dom";
import { verdictOn, type Circuit } from "./top-circuit";
import { counted, formatCount, formatScore } from "./format";
import { boxAt, describeBox, destinationOf, positionName, positionOf, type Graph } from "./graph";
import type { Port } from "./model";
import type { Target } from "./search";

const MOST_ROWS = 60;
const HINT =
  "Point at a node, or move to it with Tab and the arrow keys, to see its edges. " +
  "Click or Enter pins it.";

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
    compare: boolean;
  }): void;
}

/** The list beside the picture. */
export function createDetails(pin: (spot: number, port: Port) => void, unpin: () => void): Details {
  const title = h("span", { class: "spc-details-title" });
  const words = h("p", { class: "spc-words" });
  const release = h("button", { type: "button", class: "spc-button", hidden: true }, "Unpin");
  const lists = h("div", { class: "spc-lists" });
  const element = h(
    "div",
    { class: "spc-details", role: "region", "aria-label": "Edges of a node", tabindex: "0" },
    h("div", { class: "spc-details-head" }, title, release),
    words,
    lists,
  );
  release.addEventListener("click", unpin);
  lists.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("button") : null;
    if (link) pin(Number(link.dataset.spot), "");
  });

  return {
    element,
    show({ graph, circuit, scores, target, edges, pinned, compare }) {
      release.hidden = !pinned;
      element.dataset.target = String(target !== null);
      if (!target) {
        setText(title, "The circuit");
        setText(words, `${inWords(graph, circuit, compare)} ${HINT}`);
        lists.replaceChildren();
        return;
      }
      const box = boxAt(graph, target.spot);
      setText(title, target.port ? `${box.name}.${target.port}` : box.name);
      const at = graph.data.positions
        ? `, position ${positionName(graph, positionOf(graph, target.spot))}`
        : "";
      setText(words, describeBox(box) + at);
      const row = (edge: number, other: number, port: Port): HTMLElement => {
        const verdict = compare ? verdictOn(graph, circuit, edge) : null;
        const idle = verdict !== "miss" && !circuit.carrying[edge];
        return h(
          "li",
          { class: "spc-row" },
          h(
            "button",
            { type: "button", class: "spc-link", "data-spot": String(other) },
            boxAt(graph, other).name + (port ? `.${port}` : ""),
          ),
          h("span", { class: "spc-tag" }, verdict ?? "", idle ? " no path" : ""),
          h("span", { class: "spc-score" }, formatScore(scores[edge]!)),
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
      lists.replaceChildren(
        ...(parts.length > 0 ? parts : [h("p", { class: "spc-words" }, "No edge in the circuit.")]),
      );
    },
  };
}

/** The edges of a node that are in the circuit or missed, by importance. */
export function edgesOf(
  graph: Graph,
  circuit: Circuit,
  target: Target,
  compare: boolean,
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
  if (compare) edges.push(...circuit.misses.filter(touches));
  return edges;
}

/** The circuit in a sentence or two. */
export function inWords(graph: Graph, circuit: Circuit, compare: boolean): string {
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
  if (compare) {
    const known = circuit.hits + circuit.misses.length;
    sentences.push(
      `${formatCount(circuit.hits)} of the ${counted(known, "edge")} of the known circuit found.`,
    );
  }
  return sentences.join(" ");
}

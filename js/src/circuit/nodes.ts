// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { h, setAttribute, setText } from "../shared/dom";
import type { Circuit } from "./top-circuit";
import { boxAt, describeBox, positionName, positionOf, type Graph } from "./graph";
import type { Layout } from "./layout";
import type { BoxData, GroupData, Kind } from "./model";
import { counted } from "./format";

/** What a person does with a node; null: nothing any more. */
export interface NodeEvents {
  point(spot: number | null): void;
  /** The pointer is at a place of the picture where no node is; null: elsewhere. */
  over(place: { x: number; y: number } | null): void;
  /** A press at such a place; `also`: with the Shift key, which switches. */
  press(place: { x: number; y: number }, also: boolean): void;
  focus(spot: number | null): void;
  pin(spot: number): void;
  /** Switch a node on or off. */
  toggle(spot: number): void;
  escape(): void;
}

export interface Nodes {
  element: HTMLElement;
  /** Puts the boxes of the shown spots in their places. */
  place(layout: Layout): void;
  /** Shows which nodes belong to the circuit. */
  mark(circuit: Circuit): void;
  /** Shows what the circuit means for each node in its name. Slower: not for every frame. */
  name(circuit: Circuit, groups: readonly GroupData[]): void;
  /** Shows which nodes are pinned, found by the search, and linked with the one in view. */
  highlight(
    pinned: number | null,
    found: readonly number[],
    linked: ReadonlySet<number> | null,
  ): void;
  focusOn(spot: number): void;
}

/** The boxes: buttons, one of which at a time is in the order of the Tab key. */
export function createNodes(graph: Graph, events: NodeEvents): Nodes {
  const buttons = Array.from({ length: graph.nSpots }, (_, spot) => {
    const { kind } = boxAt(graph, spot);
    const button = h("button", {
      type: "button",
      class: `spc-node spc-${kind}`,
      tabindex: "-1",
      "aria-pressed": "false",
      "data-spot": String(spot),
      hidden: true,
    });
    return button;
  });
  const element = h(
    "div",
    {
      class: "spc-nodes",
      role: "group",
      "aria-label": "Nodes; the arrow keys move between them, Enter pins one, X switches it",
      // JupyterLab would take the arrow keys for commands on cells.
      "data-lm-suppress-shortcuts": "true",
    },
    ...buttons,
  );

  let layout: Layout | null = null;
  let current = 0;
  const makeCurrent = (spot: number): void => {
    buttons[current]?.setAttribute("tabindex", "-1");
    current = spot;
    buttons[current]?.setAttribute("tabindex", "0");
  };
  const spotOf = (target: EventTarget | null): number | null => {
    const button = target instanceof Element ? target.closest<HTMLElement>(".spc-node") : null;
    return button && element.contains(button) ? Number(button.dataset.spot) : null;
  };

  const placeOf = (event: MouseEvent): { x: number; y: number } => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  element.addEventListener("pointerover", (event) => {
    events.point(spotOf(event.target));
  });
  element.addEventListener("pointermove", (event) => {
    events.over(spotOf(event.target) === null ? placeOf(event) : null);
  });
  element.addEventListener("pointerleave", () => {
    events.point(null);
    events.over(null);
  });
  element.addEventListener("focusin", (event) => {
    const spot = spotOf(event.target);
    if (spot !== null) makeCurrent(spot);
    events.focus(spot);
  });
  element.addEventListener("focusout", () => {
    events.focus(null);
  });
  element.addEventListener("click", (event) => {
    const spot = spotOf(event.target);
    if (spot === null) events.press(placeOf(event), event.shiftKey);
    else if (event.shiftKey) events.toggle(spot);
    else events.pin(spot);
  });
  element.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      events.escape();
      return;
    }
    if (event.key.toLowerCase() === "x") {
      event.stopPropagation();
      events.toggle(current);
      return;
    }
    const next = layout && spotAfterKey(graph, layout, current, event.key);
    if (next === null) return;
    event.preventDefault();
    buttons[next]?.focus();
  });

  return {
    element,
    place(next) {
      layout = next;
      element.style.height = `${next.height}px`;
      const labels = labelsOf(graph, next, letterWidth(element));
      buttons.forEach((button, spot) => {
        const shown = next.shown[spot] === 1;
        if (button.hidden === shown) button.hidden = !shown;
        if (!shown) return;
        const width = next.boxWidth[spot]!;
        button.style.width = `${width}px`;
        button.style.height = `${next.boxHeight}px`;
        button.style.transform = `translate(${next.x[spot]! - width / 2}px, ${next.y[spot]! - next.boxHeight / 2}px)`;
        setText(button, labels[spot]!);
      });
      if (next.shown[current] !== 1) makeCurrent(next.shown.indexOf(1));
      else makeCurrent(current);
    },
    mark(circuit) {
      buttons.forEach((button, spot) => {
        const state = circuit.alive[spot]
          ? "alive"
          : circuit.degree[spot]
            ? "idle"
            : circuit.missed[spot]
              ? "missed"
              : "out";
        if (button.dataset.state !== state) button.dataset.state = state;
      });
    },
    name(circuit, groups) {
      buttons.forEach((button, spot) => {
        if (button.hidden) return;
        const group = groups.find(({ nodes }) => nodes.includes(boxAt(graph, spot).name));
        const among = group ? `, in the group ${group.name}` : "";
        setAttribute(button, "aria-label", nameOf(graph, circuit, spot) + among);
      });
    },
    highlight(pinned, found, linked) {
      buttons.forEach((button, spot) => {
        setAttribute(button, "aria-pressed", String(spot === pinned));
        setAttribute(button, "data-linked", linked ? String(linked.has(spot)) : false);
        setAttribute(button, "data-found", found.includes(spot));
      });
    },
    focusOn(spot) {
      buttons[spot]?.focus();
    },
  };
}

/** What a screen reader says: `A9.6, head 6 of block 9, 12 edges in the circuit`. */
export function nameOf(graph: Graph, circuit: Circuit, spot: number): string {
  const box = boxAt(graph, spot);
  const words = describeBox(box);
  const parts = words.startsWith(box.name) ? [words] : [box.name, words];
  if (graph.data.positions)
    parts.push(`at position ${positionName(graph, positionOf(graph, spot))}`);
  const degree = circuit.degree[spot]!;
  parts.push(degree === 0 ? "not in the circuit" : `${counted(degree, "edge")} in the circuit`);
  if (degree > 0 && !circuit.alive[spot]) parts.push("on no path from input to output");
  return parts.join(", ");
}

/**
 * The names of the nodes as their boxes show them: the longest form of name that all boxes of a
 * kind have room for.
 */
export function labelsOf(graph: Graph, layout: Layout, letterWidth: number): string[] {
  const forms: Record<Kind, ((box: BoxData) => string)[]> = {
    start: [({ name }) => `${name} (embedding)`, ({ name }) => name, () => "Start"],
    end: [({ name }) => `${name} (logits)`, ({ name }) => name, () => "End"],
    head: [({ name }) => name, ({ name }) => name.slice(1), ({ head }) => String(head ?? 0)],
    shared: [({ head }) => `KV ${head ?? 0}`, () => "KV"],
    attention: [({ name }) => `${name} (all heads)`, ({ name }) => name],
    mid: [({ name }) => name, ({ block }) => `Mid ${block}`],
    mlp: [({ name }) => name, ({ block }) => `M${block}`, () => "M"],
    post: [({ name }) => name, ({ block }) => `Post ${block}`],
  };
  const spots = Array.from({ length: graph.nSpots }, (_, spot) => spot);
  const fitting = new Map<Kind, (box: BoxData) => string>();
  for (const kind of Object.keys(forms) as Kind[]) {
    const ofKind = spots.filter((spot) => layout.shown[spot] && boxAt(graph, spot).kind === kind);
    const fits = (form: (box: BoxData) => string): boolean =>
      ofKind.every(
        (spot) => form(boxAt(graph, spot)).length * letterWidth + 4 <= layout.boxWidth[spot]!,
      );
    fitting.set(kind, forms[kind].find(fits) ?? forms[kind].at(-1)!);
  }
  return spots.map((spot) => {
    const box = boxAt(graph, spot);
    return fitting.get(box.kind)!(box);
  });
}

/** The shown spot that a key leads to; null: none. */
export function spotAfterKey(
  graph: Graph,
  layout: Layout,
  from: number,
  key: string,
): number | null {
  const x = layout.x[from]!;
  const y = layout.y[from]!;
  const aside = 0.6 * layout.pitch;
  const cost: Record<string, (dx: number, dy: number) => number> = {
    ArrowLeft: (dx, dy) => (dx < -1 && Math.abs(dy) < aside ? -dx + Math.abs(dy) : Infinity),
    ArrowRight: (dx, dy) => (dx > 1 && Math.abs(dy) < aside ? dx + Math.abs(dy) : Infinity),
    ArrowUp: (dx, dy) => (dy < -0.3 * layout.pitch ? -2 * dy + Math.abs(dx) : Infinity),
    ArrowDown: (dx, dy) => (dy > 0.3 * layout.pitch ? 2 * dy + Math.abs(dx) : Infinity),
    Home: (dx, dy) => (Math.abs(dy) < aside ? dx + Math.abs(dy) : Infinity),
    End: (dx, dy) => (Math.abs(dy) < aside ? -dx + Math.abs(dy) : Infinity),
  };
  const costOf = cost[key];
  if (!costOf) return null;
  let best: number | null = null;
  let least = Infinity;
  for (let spot = 0; spot < graph.nSpots; spot++) {
    if (!layout.shown[spot]) continue;
    const price = costOf(layout.x[spot]! - x, layout.y[spot]! - y);
    if (price < least) [best, least] = [spot, price];
  }
  return best;
}

/** The width of a letter of the bold names, in the font of the theme. */
function letterWidth(element: HTMLElement): number {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return 7;
  context.font = `600 11px ${getComputedStyle(element).fontFamily}`;
  return context.measureText("A11.10").width / 6;
}

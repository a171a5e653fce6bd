// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { h, setText } from "../shared/dom";
import { verdictOn, type Circuit } from "./top-circuit";
import { counted, formatCount, formatScore } from "./format";
import { destinationOf, positionName, sourceName, type Graph } from "./graph";

const MOST_ROWS = 100;

export interface Table {
  element: HTMLElement;
  /** Lists the edges of the circuit; only while the table is open. */
  show(
    graph: Graph,
    circuit: Circuit,
    scores: Float32Array,
    /** For each edge the share of runs that it is in; null: nothing is known of them. */
    frequencies: Float32Array | null,
    /** Edges that were switched off by hand. */
    off: Uint32Array,
  ): void;
}

/** The circuit as text, for those who do not see the picture and for copying. */
export function createTable(opened: () => void): Table {
  const summary = h("summary", { class: "spc-summary" });
  const body = h("div", {
    class: "spc-table-box",
    tabindex: "0",
    role: "region",
    "aria-label": "Table of edges",
  });
  const element = h("details", { class: "spc-table" }, summary, body);
  element.addEventListener("toggle", () => {
    if (element.open) opened();
    else body.replaceChildren();
  });

  return {
    element,
    show(graph, circuit, scores, frequencies, off) {
      setText(summary, `${counted(circuit.size, "edge")} as text`);
      if (!element.open) return;
      const shown = [...circuit.order.subarray(0, Math.min(circuit.size, MOST_ROWS))];
      const tables = shown.length > 0 ? [rows(shown, captionOf(shown.length, circuit.size))] : [];
      if (circuit.misses.length > 0) {
        const missed = [...circuit.misses.subarray(0, MOST_ROWS)];
        const caption = `Edges of the other circuit that are not in this one (${formatCount(circuit.misses.length)})`;
        tables.push(rows(missed, caption));
      }
      if (off.length > 0) {
        const caption = `Edges that were switched off by hand (${formatCount(off.length)})`;
        tables.push(rows([...off.subarray(0, MOST_ROWS)], caption));
      }
      body.replaceChildren(...tables);

      function rows(edges: number[], caption: string): HTMLElement {
        const head = [
          "Source",
          "Destination",
          ...(graph.data.positions ? ["Position"] : []),
          "Score",
          ...(frequencies ? ["Runs"] : []),
          "Path",
          ...(circuit.reference ? ["Compared"] : []),
        ];
        return h(
          "table",
          { class: "spc-edges" },
          h("caption", {}, caption),
          h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, ...edges.map((edge) => h("tr", {}, ...cells(edge)))),
        );
      }

      function cells(edge: number): HTMLElement[] {
        const texts = [
          sourceName(graph, edge),
          destinationOf(graph, edge).name,
          ...(graph.data.positions ? [positionName(graph, graph.position[edge]!)] : []),
          formatScore(scores[edge]!),
          ...(frequencies ? [`${Math.round(100 * frequencies[edge]!)}%`] : []),
          circuit.carrying[edge] ? "on a path" : "–",
          ...(circuit.reference ? [verdictOn(circuit, edge) ?? ""] : []),
        ];
        return texts.map((text) => h("td", {}, text));
      }
    },
  };
}

function captionOf(shown: number, all: number): string {
  return shown < all
    ? `The ${formatCount(shown)} most important of ${counted(all, "edge")} in the circuit`
    : "Edges of the circuit by importance";
}

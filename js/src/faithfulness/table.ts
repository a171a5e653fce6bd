import { formatCount, formatScore } from "../circuit/format";
import { h } from "../shared/dom";
import type { CurveData } from "./model";

/** The numbers behind the lines, for those who open it. */
export function createTable(): { element: HTMLElement; show(curves: readonly CurveData[]): void } {
  const table = h("table", { class: "spf-table" });
  const element = h(
    "details",
    { class: "spf-data" },
    h("summary", { class: "spf-summary" }, "Data of the curve"),
    h(
      "div",
      {
        class: "spf-scroller",
        // Reached by the keyboard, because it scrolls.
        tabindex: "0",
        role: "region",
        "aria-label": "Data of the curve",
        "data-lm-suppress-shortcuts": "true",
      },
      table,
    ),
  );
  return {
    element,
    show(curves) {
      element.hidden = curves.length === 0;
      table.replaceChildren(...rowsOf(curves));
    },
  };
}

function rowsOf(curves: readonly CurveData[]): HTMLElement[] {
  const [first] = curves;
  if (!first) return [];
  const columns: [string, Map<number, string>][] = [
    ...curves.map(({ name, circuit }): [string, Map<number, string>] => [name, texts(circuit)]),
    ["Complement", texts(first.complement)],
    [
      "Random circuits",
      new Map(
        first.random.map(([size, low, high]) => [
          size,
          `${formatScore(low)} to ${formatScore(high)}`,
        ]),
      ),
    ],
  ];
  const sizes = [...new Set(columns.flatMap(([, cells]) => [...cells.keys()]))].sort(
    (a, b) => a - b,
  );
  const heads = ["Edges", ...columns.map(([name]) => name)];
  return [
    h("thead", {}, h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...sizes.map((size) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, formatCount(size)),
          ...columns.map(([, cells]) => h("td", {}, cells.get(size) ?? "")),
        ),
      ),
    ),
  ];
}

function texts(points: readonly [number, number][]): Map<number, string> {
  return new Map(points.map(([size, value]) => [size, formatScore(value)]));
}

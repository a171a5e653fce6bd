import { h, setText } from "../shared/dom";
import { formatCount, NONE } from "./format";
import type { Table } from "./model";

export interface DataTable {
  element: HTMLElement;
  show(table: Table): void;
}

/** The numbers behind the lines at some of the steps, for those who open it. */
export function createTable(): DataTable {
  const body = h("table", { class: "spx-table" });
  const details = h(
    "details",
    { class: "spx-data" },
    h("summary", { class: "spx-summary" }, "Data of the chart"),
    // Reached by the keyboard, because it scrolls.
    h(
      "div",
      {
        class: "spx-scroller",
        tabindex: "0",
        role: "region",
        "aria-label": "Data of the chart",
        "data-lm-suppress-shortcuts": "true",
      },
      body,
    ),
  );
  let table: Table = {};

  const fill = (): void => {
    // Closed, it costs nothing.
    if (!details.open) return;
    const { columns = [], rows = [] } = table;
    const texts = [
      ["Step", ...columns],
      ...rows.map(([step, ...values]) => [formatCount(step ?? 0), ...values.map(formatCell)]),
    ];
    const cells = body.querySelectorAll("th, td");
    const isSameShape =
      cells.length === texts.length * (columns.length + 1) && body.rows.length === texts.length;
    // Changed in place: whoever reads a row keeps it.
    if (!isSameShape) body.replaceChildren(...emptyRows(rows.length, columns.length));
    const flat = texts.flat();
    body.querySelectorAll("th, td").forEach((cell, index) => {
      setText(cell, flat[index] ?? "");
    });
  };
  details.addEventListener("toggle", fill);

  return {
    element: details,
    show(next) {
      table = next;
      fill();
    },
  };
}

function emptyRows(nRows: number, nColumns: number): HTMLElement[] {
  const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
  const head = h("thead", {}, h("tr", {}, ...times(nColumns + 1, () => h("th", { scope: "col" }))));
  const row = (): HTMLElement =>
    h("tr", {}, h("th", { scope: "row" }), ...times(nColumns, () => h("td")));
  return [head, h("tbody", {}, ...times(nRows, row))];
}

function formatCell(value: number | null): string {
  if (value === null) return NONE;
  return Number.isInteger(value) && Math.abs(value) >= 1000
    ? formatCount(value)
    : String(Number(value.toPrecision(5)));
}

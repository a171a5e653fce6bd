import { formatCount, formatScore } from "../circuit/format";
import { h, hasFocus, setAttribute, setText } from "../shared/dom";
import type { SweepRow } from "./model";

export interface Table {
  element: HTMLElement;
  show(fields: readonly string[], rows: readonly SweepRow[], chosen: string): void;
}

interface Line {
  element: HTMLTableRowElement;
  show(row: SweepRow, number: number, fields: readonly string[], chosen: boolean): void;
}

/** A line for every run. Its button, or a click on the line, chooses it. */
export function createTable(choose: (name: string) => void): Table {
  const head = h("tr", {});
  const body = h("tbody", {});
  const lines = new Map<string, Line>();
  return {
    element: h(
      "div",
      {
        class: "sps-scroller",
        // Reached by the keyboard, because it scrolls.
        tabindex: "0",
        role: "region",
        "aria-label": "Runs of the sweep",
        "data-lm-suppress-shortcuts": "true",
      },
      h("table", { class: "sps-table" }, h("thead", {}, head), body),
    ),
    show(fields, rows, chosen) {
      const names = ["Run", ...fields, "State", "Progress", "Edges", "Loses", "Seconds", "Left"];
      head.replaceChildren(...names.map((name) => h("th", { scope: "col" }, name)));
      for (const [name, line] of lines) {
        if (rows.some((row) => row.name === name)) continue;
        if (hasFocus(line.element)) body.closest<HTMLElement>(".sps-scroller")?.focus();
        line.element.remove();
        lines.delete(name);
      }
      rows.forEach((row, index) => {
        let line = lines.get(row.name);
        if (!line) {
          line = createLine(row.name, choose);
          lines.set(row.name, line);
        }
        line.show(row, index + 1, fields, row.name === chosen);
        if (body.children[index] !== line.element) {
          body.insertBefore(line.element, body.children[index] ?? null);
        }
      });
    },
  };
}

function createLine(name: string, choose: (name: string) => void): Line {
  const button = h("button", { type: "button", class: "sps-run" });
  const element = h("tr", {}, h("th", { scope: "row" }, button));
  const bar = h("progress", { max: "1" });
  element.addEventListener("click", () => {
    // Not in a saved notebook: nobody would answer.
    if (!element.closest("fieldset[disabled]")) choose(name);
  });
  let cells: HTMLTableCellElement[] = [];
  return {
    element,
    show(row, number, fields, chosen) {
      const texts = [
        ...row.fields,
        row.state,
        null,
        row.edges === null ? "" : formatCount(row.edges),
        row.value === null ? "" : formatScore(row.value),
        row.seconds.toFixed(1),
        row.seconds_left === null ? "" : `${formatCount(row.seconds_left)} s`,
      ];
      if (cells.length !== texts.length) {
        for (const cell of cells) cell.remove();
        cells = texts.map((text) => h("td", {}, ...(text === null ? [bar] : [])));
        element.append(...cells);
      }
      texts.forEach((text, index) => {
        const cell = cells[index];
        if (cell && text !== null) setText(cell, text);
      });
      bar.value = row.progress;
      setAttribute(bar, "aria-label", `Progress of run ${number}`);
      setAttribute(element, "class", `sps-${row.state}${chosen ? " sps-chosen" : ""}`);
      setText(button, String(number));
      setAttribute(button, "aria-pressed", String(chosen));
      const words = fields.map((field, index) => `${field} ${row.fields[index] ?? ""}`);
      setAttribute(button, "aria-label", `Run ${number}: ${words.join(", ")}`);
      setAttribute(element, "title", row.error);
    },
  };
}

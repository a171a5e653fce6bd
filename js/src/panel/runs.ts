import { h, hasFocus, setAttribute, setText } from "../shared/dom";
import type { RunData, RunEdit } from "./model";
import { createScatter } from "./scatter";

const NONE = "Reset keeps the finished run here, to compare the next one with it.";

export interface RunsView {
  element: HTMLElement;
  show(runs: RunData[]): void;
  showDifferences(text: string): void;
}

interface Row {
  element: HTMLElement;
  remove: HTMLButtonElement;
  show(run: RunData, index: number): void;
}

/**
 * The finished runs: which of them the chart shows, what they are called, how they differ.
 * `leave`: called before a row vanishes under the keyboard.
 */
export function createRuns(
  edit: (number: number, change: RunEdit) => void,
  leave: () => void,
): RunsView {
  const list = h("ul", { class: "sp-runs" });
  const hint = h("p", { class: "sp-help" }, NONE);
  const now = h("p", { class: "sp-run-now" });
  const scatter = createScatter();
  const rows = new Map<number, Row>();

  return {
    element: h(
      "div",
      { class: "sp-compare" },
      h("div", { class: "sp-section-body" }, list, now, hint),
      scatter.element,
    ),
    show(runs) {
      scatter.show(runs);
      for (const [number, row] of rows) {
        if (runs.some((run) => run.number === number)) continue;
        if (hasFocus(row.element)) leave();
        row.element.remove();
        rows.delete(number);
      }
      runs.forEach((run, index) => {
        let row = rows.get(run.number);
        if (!row) {
          row = createRow(run.number, edit);
          rows.set(run.number, row);
        }
        row.show(run, index);
        if (list.children[index] !== row.element) {
          list.insertBefore(row.element, list.children[index] ?? null);
        }
      });
      hint.hidden = runs.length > 0;
    },
    showDifferences(text) {
      setText(now, text ? `This run, ${text}.` : "");
    },
  };
}

function createRow(number: number, edit: (number: number, change: RunEdit) => void): Row {
  const shown = h("input", { type: "checkbox", class: "sp-checkbox" });
  const colour = h("span", { class: "sp-run-colour", "aria-hidden": "true" });
  const name = h("input", {
    type: "text",
    class: "sp-input sp-run-name",
    autocomplete: "off",
    spellcheck: "false",
  });
  const result = h("span", { class: "sp-run-result" });
  const differences = h("span", { class: "sp-run-differences" });
  const scores = h("code", { class: "sp-run-scores" });
  const remove = h("button", { type: "button", class: "sp-button" }, "Delete");
  let latest = "";

  shown.addEventListener("change", () => {
    edit(number, { shown: shown.checked });
  });
  const rename = (): void => {
    const wanted = name.value;
    if (wanted === latest) return;
    // Until Python has taken it: a name that is refused must not stand there.
    name.value = latest;
    edit(number, { name: wanted });
  };
  name.addEventListener("change", rename);
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") rename();
    if (event.key === "Escape") name.value = latest;
  });
  remove.addEventListener("click", () => {
    edit(number, { delete: true });
  });

  return {
    element: h(
      "li",
      { class: "sp-run-row" },
      h("span", { class: "sp-run-shown" }, shown, colour),
      name,
      h(
        "span",
        { class: "sp-run-text" },
        result,
        differences,
        h("span", { class: "sp-run-differences" }, "scores: ", scores, " of this widget"),
      ),
      remove,
    ),
    remove,
    show(run, index) {
      shown.checked = run.shown;
      colour.style.background = run.colour;
      if (latest !== run.name || !hasFocus(name)) name.value = run.name;
      latest = run.name;
      setText(result, run.result);
      setText(differences, run.differences);
      setText(scores, `.runs[${index}].prune_scores`);
      setAttribute(shown, "aria-label", `Show ${run.name} in the chart`);
      setAttribute(name, "aria-label", `Name of ${run.name}`);
      setAttribute(remove, "aria-label", `Delete ${run.name}`);
    },
  };
}

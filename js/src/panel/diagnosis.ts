import { h } from "../shared/dom";
import type { Diagnosis } from "./model";

export interface DiagnosisView {
  element: HTMLElement;
  show(found: readonly Diagnosis[]): void;
}

/** What is off about the run, a line each, with what to do. */
export function createDiagnosis(): DiagnosisView {
  const element = h("ul", { class: "sp-diagnosis", "aria-label": "Diagnosis", role: "list" });
  let shown = "";
  return {
    element,
    show(found) {
      element.hidden = found.length === 0;
      // Changed only where something changed, so that whoever reads a line keeps it.
      const now = JSON.stringify(found);
      if (now === shown) return;
      shown = now;
      element.replaceChildren(
        ...found.map(({ problem, remedy }) => h("li", {}, h("strong", {}, problem), ` ${remedy}`)),
      );
    },
  };
}

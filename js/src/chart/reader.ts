import { h, setAttribute } from "../shared/dom";
import type { Range } from "./axis";
import { formatCount, NONE } from "./format";
import { createSlider } from "./slider";

export interface Reader {
  element: HTMLElement;
  /** The step that is read, `null`: none, and the values at that step in words. */
  show(view: Range, step: number | null, values: string): void;
}

/** A slider for the step whose values are read: what the pointer does, for the keyboard. */
export function createReader(prefix: string, read: (step: number | null) => void): Reader {
  const slider = createSlider(`${prefix}-step`, "Read at step");
  const { input } = slider;
  input.addEventListener("input", () => {
    read(Number(input.value));
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") read(null);
  });
  return {
    element: h(
      "div",
      { class: "spx-reader" },
      slider.element,
      h(
        "span",
        { class: "spx-hint", "aria-hidden": "true" },
        "Drag to zoom, Shift and drag to pan, double-click for all steps",
      ),
    ),
    show({ from, to }, step, values) {
      setAttribute(input, "min", String(Math.round(from)));
      setAttribute(input, "max", String(Math.round(to)));
      slider.show(step ?? Math.round(from), step === null ? NONE : formatCount(step), values);
    },
  };
}

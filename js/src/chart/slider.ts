import { h, setAttribute, setText } from "../shared/dom";

export interface Slider {
  element: HTMLElement;
  input: HTMLInputElement;
  /** `text` is written beside it, `spoken` is read out. */
  show(value: number, text: string, spoken?: string): void;
}

/** A slider from 0 on, with a label and its value. */
export function createSlider(id: string, label: string): Slider {
  const input = h("input", {
    type: "range",
    class: "spx-slider",
    id,
    min: "0",
    // JupyterLab moves from cell to cell with the same arrow keys.
    "data-lm-suppress-shortcuts": "true",
  });
  const value = h("span", { class: "spx-value", "aria-hidden": "true" });
  return {
    element: h(
      "div",
      { class: "spx-group" },
      h("label", { class: "spx-label", for: id }, label),
      input,
      value,
    ),
    input,
    show(number, text, spoken = text) {
      const wanted = String(number);
      if (input.value !== wanted) input.value = wanted;
      setText(value, text);
      setAttribute(input, "aria-valuetext", spoken);
    },
  };
}

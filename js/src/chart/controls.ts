import { h, setAttribute } from "../shared/dom";
import type { AxisName } from "./model";
import { createSlider } from "./slider";

export interface Actions {
  log(axis: AxisName, on: boolean): void;
  smoothing(weight: number): void;
  zoom(factor: number): void;
  pan(share: number): void;
  reset(): void;
  quantity(label: string): void;
}

export interface Shown {
  log: AxisName[];
  /** What can be seen of earlier runs; empty: there are none. */
  quantities: string[];
  quantity: string;
  smoothing: number;
  /** All of the steps are in view. */
  whole: boolean;
}

export interface Controls {
  element: HTMLElement;
  smoothing: HTMLElement;
  show(shown: Shown): void;
}

/** Beyond it a line would hardly move any more. */
const MOST_SMOOTH = 0.99;

const LOGS: { axis: AxisName; label: string }[] = [
  { axis: "left", label: "Loss" },
  { axis: "right", label: "Edges" },
  { axis: "steps", label: "Steps" },
];

/** The share of the view by which a button moves it. */
const STRIDE = 0.5;

/** Log axes, smoothing, zoom and pan. */
export function createControls(prefix: string, actions: Actions): Controls {
  const boxes = LOGS.map(({ axis, label }) => {
    // The legend has switches of the same names.
    const name = `${label} axis logarithmic`;
    const box = h("input", { type: "checkbox", class: "spx-box", "aria-label": name });
    box.addEventListener("change", () => {
      actions.log(axis, box.checked);
    });
    return { axis, box, element: h("label", { class: "spx-check" }, box, label) };
  });
  const log = h(
    "div",
    { class: "spx-group", role: "group", "aria-labelledby": `${prefix}-log` },
    h("span", { class: "spx-label", id: `${prefix}-log` }, "Log"),
    ...boxes.map(({ element }) => element),
  );

  const smoothing = createSlider(`${prefix}-smoothing`, "Smoothing");
  setAttribute(smoothing.input, "max", String(MOST_SMOOTH));
  setAttribute(smoothing.input, "step", "0.01");
  smoothing.input.addEventListener("input", () => {
    actions.smoothing(Number(smoothing.input.value));
  });

  const quantity = h("select", {
    id: `${prefix}-quantity`,
    class: "spx-select",
    "data-lm-suppress-shortcuts": "true",
  });
  quantity.addEventListener("change", () => {
    actions.quantity(quantity.value);
  });
  const past = h(
    "div",
    { class: "spx-group" },
    h("label", { class: "spx-label", for: quantity.id }, "Earlier runs show"),
    quantity,
  );
  let offered = "";

  const zoomIn = button("Zoom in", "M7 1v12M1 7h12", () => {
    actions.zoom(0.5);
  });
  const zoomOut = button("Zoom out", "M1 7h12", () => {
    actions.zoom(2);
  });
  const earlier = button("Earlier steps", "M9 2 4 7l5 5", () => {
    actions.pan(-STRIDE);
  });
  const later = button("Later steps", "m5 2 5 5-5 5", () => {
    actions.pan(STRIDE);
  });
  const reset = h("button", { type: "button", class: "spx-button" }, "Reset view");
  reset.addEventListener("click", () => {
    actions.reset();
  });
  const element = h(
    "div",
    { class: "spx-controls", role: "group", "aria-label": "Chart controls" },
    log,
    h(
      "div",
      { class: "spx-group spx-zoom", role: "group", "aria-label": "Zoom" },
      zoomIn,
      zoomOut,
      earlier,
      later,
      reset,
    ),
    past,
  );

  return {
    element,
    smoothing: smoothing.element,
    show(shown) {
      past.hidden = shown.quantities.length === 0;
      if (shown.quantities.join() !== offered) {
        offered = shown.quantities.join();
        quantity.replaceChildren(...shown.quantities.map((value) => h("option", { value }, value)));
      }
      quantity.value = shown.quantity;
      for (const { axis, box } of boxes) box.checked = shown.log.includes(axis);
      smoothing.show(shown.smoothing, shown.smoothing === 0 ? "off" : shown.smoothing.toFixed(2));
      // Not disabled, which would throw the keyboard out of them; they just do nothing then.
      for (const one of [earlier, later, zoomOut, reset]) {
        setAttribute(one, "aria-disabled", shown.whole ? "true" : false);
      }
    },
  };
}

function button(name: string, path: string, press: () => void): HTMLButtonElement {
  const element = h("button", {
    type: "button",
    class: "spx-button spx-icon",
    "aria-label": name,
    title: name,
  });
  element.innerHTML = `<svg viewBox="0 0 14 14" aria-hidden="true"><path d="${path}"/></svg>`;
  element.addEventListener("click", press);
  return element;
}

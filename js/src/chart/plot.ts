import { h, setText } from "../shared/dom";
import { fractionOf, PANES, valueAt, type Axis } from "./axis";
import type { AxisName, Margins } from "./model";

export interface Gestures {
  /** The pointer is at a step; `null`: it is elsewhere. */
  point(step: number | null): void;
  /** A stretch of steps was marked. */
  choose(one: number, other: number): void;
  /** The plot is being dragged by a share of its width, from where it was at the beginning. */
  drag(share: number, begins: boolean): void;
  /** Zoom around a step. */
  zoom(factor: number, step: number): void;
  reset(): void;
}

export interface Plot {
  element: HTMLElement;
  /** Names the panes, and puts the line of the read-out to a step. */
  show(axes: Record<AxisName, Axis>, step: number | null): void;
}

const CAPTIONED: AxisName[] = ["left", "right", "steps"];

/** Pixels that the pointer has to move before a click is a drag. */
const LEAST_DRAG = 4;

/** A transparent sheet on the plot of the figure: it takes the pointer and shows the step read. */
export function createPlot(
  margins: Margins,
  labels: Record<AxisName, string>,
  gestures: Gestures,
): Plot {
  const cursor = h("div", { class: "spx-cursor", hidden: true });
  const brush = h("div", { class: "spx-brush", hidden: true });
  const captions = CAPTIONED.map((name) => h("span", { class: `spx-caption spx-caption-${name}` }));
  const element = h("div", { class: "spx-plot" }, ...captions, brush, cursor);
  element.style.setProperty("--spx-pane", `${((1 - PANES.right.to) * 100).toFixed(1)}%`);
  element.style.margin = [margins.top, margins.right, margins.bottom, margins.left]
    .map((pixels) => `${pixels}px`)
    .join(" ");

  let axis: Axis = { log: false, from: 0, to: 1, seen: { from: 0, to: 1 } };
  let began: { fraction: number; x: number; pans: boolean; moved: boolean } | null = null;

  const fractionAt = (event: MouseEvent): number => {
    const { left, width } = element.getBoundingClientRect();
    return width > 0 ? Math.min(Math.max((event.clientX - left) / width, 0), 1) : 0;
  };
  const stepAt = (event: MouseEvent): number => valueAt(axis, fractionAt(event));

  element.addEventListener("pointermove", (event) => {
    if (!began) {
      gestures.point(stepAt(event));
      return;
    }
    const begins = !began.moved;
    if (begins && Math.abs(event.clientX - began.x) < LEAST_DRAG) return;
    began.moved = true;
    gestures.point(null);
    const fraction = fractionAt(event);
    if (began.pans) {
      const { width } = element.getBoundingClientRect();
      gestures.drag((event.clientX - began.x) / width, begins);
      return;
    }
    brush.hidden = false;
    brush.style.left = percent(Math.min(fraction, began.fraction));
    brush.style.width = percent(Math.abs(fraction - began.fraction));
  });
  element.addEventListener("pointerleave", () => {
    if (!began) gestures.point(null);
  });
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 && event.button !== 1) return;
    const pans = event.shiftKey || event.button === 1;
    began = { fraction: fractionAt(event), x: event.clientX, pans, moved: false };
    element.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  const end = (event: PointerEvent, chosen: boolean): void => {
    const start = began;
    began = null;
    brush.hidden = true;
    if (!start?.moved || start.pans || !chosen) return;
    gestures.choose(valueAt(axis, start.fraction), stepAt(event));
  };
  element.addEventListener("pointerup", (event) => {
    end(event, true);
  });
  element.addEventListener("pointercancel", (event) => {
    end(event, false);
  });
  element.addEventListener("dblclick", () => {
    gestures.reset();
  });
  element.addEventListener(
    "wheel",
    (event) => {
      // The wheel alone scrolls the notebook.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      gestures.zoom(Math.exp(Math.sign(event.deltaY) * 0.25), stepAt(event));
    },
    { passive: false },
  );

  return {
    element,
    show(axes, step) {
      axis = axes.steps;
      CAPTIONED.forEach((name, index) => {
        const caption = captions[index];
        const how = axes[name].log ? ", logarithmic" : "";
        if (caption) setText(caption, labels[name] + how);
      });
      const fraction = step === null ? -1 : fractionOf(axis, step);
      cursor.hidden = fraction < 0 || fraction > 1;
      cursor.style.left = percent(fraction);
    },
  };
}

function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(3)}%`;
}

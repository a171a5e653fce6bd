/** The tools of the chart: the view of the Python `ChartTools`. */

import type { InitializeProps, RenderProps } from "@anywidget/types";

import { h } from "../shared/dom";
import { drawFigure } from "./figure";
import type { ChartTraits } from "./model";
import { createView } from "./view";

/** Once for all views: they share the marks of the figure. */
function initialize({ model, signal }: InitializeProps<ChartTraits>): void {
  drawFigure(model, signal);
}

function render({ model, el, signal }: RenderProps<ChartTraits>): void {
  const place = h("div", { class: "spx" });
  el.append(place);
  createView(model, place, signal);
  signal.addEventListener(
    "abort",
    () => {
      place.remove();
    },
    { once: true },
  );
}

export default { initialize, render };

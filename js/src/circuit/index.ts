/** The circuit view: the view of the Python `CircuitView`. */

import type { RenderProps } from "@anywidget/types";

import { h, uniquePrefix } from "../shared/dom";
import { observe } from "../shared/observe";
import { createView } from "./view";
import type { CircuitTraits } from "./model";

function render({ model, el, signal }: RenderProps<CircuitTraits>): void {
  const place = h("div", { class: "sp-circuit", role: "region", "aria-label": "Circuit" });
  el.append(place);

  // Another graph is another picture: everything in a view depends on it.
  let view = new AbortController();
  observe(
    model,
    ["graph"],
    () => {
      view.abort();
      view = new AbortController();
      place.replaceChildren();
      createView(model, place, uniquePrefix(), view.signal);
    },
    signal,
  );
  signal.addEventListener(
    "abort",
    () => {
      view.abort();
      place.remove();
    },
    { once: true },
  );
}

export default { render };

/** The faithfulness view: the view of the Python `FaithfulnessView`. */

import type { RenderProps } from "@anywidget/types";

import { createAvailability } from "../shared/availability";
import { h, setText } from "../shared/dom";
import { mount } from "../shared/mount";
import { observe } from "../shared/observe";
import { legendOf } from "./legend";
import type { FaithfulnessTraits } from "./model";
import { createPlot } from "./plot";
import { createTable } from "./table";

function render({ model, el, signal }: RenderProps<FaithfulnessTraits>): void {
  const plot = createPlot((size) => {
    model.set("n_edges", size);
    model.save_changes();
  }, signal);
  const metric = h("p", { class: "spf-metric" });
  const legend = h("ul", { class: "spf-legend" });
  const note = h("span", { class: "spf-note", role: "status" });
  const button = h("button", { type: "button", class: "spf-button" }, "Measure now");
  const available = createAvailability(button);
  button.addEventListener("click", () => {
    if (available.available) model.send({ type: "measure" });
  });
  const table = createTable();
  const drawn = h("div", { class: "spf-drawn" }, metric, plot.element, legend, table.element);
  const root = h(
    "div",
    { class: "sp-faithfulness", role: "region", "aria-label": "Faithfulness" },
    h(
      "div",
      { class: "spf-header" },
      h("span", { class: "spf-title", "aria-hidden": "true" }, "Faithfulness"),
      note,
      button,
    ),
    drawn,
  );
  mount(el, root, signal, "");

  observe(
    model,
    ["curves", "metric"],
    () => {
      const curves = model.get("curves");
      drawn.hidden = curves.length === 0;
      setText(metric, model.get("metric"));
      legend.replaceChildren(...legendOf(curves));
      table.show(curves);
    },
    signal,
  );
  observe(
    model,
    ["curves", "most", "n_edges", "training_edges"],
    () => {
      plot.show({
        curves: model.get("curves"),
        most: model.get("most"),
        n_edges: model.get("n_edges"),
        training_edges: model.get("training_edges"),
      });
    },
    signal,
  );
  observe(
    model,
    ["note", "measure"],
    () => {
      setText(note, model.get("note"));
      button.hidden = model.get("measure") === "never";
      available.set(model.get("measure") === "now");
    },
    signal,
  );
}

export default { render };

/** The table and the plot of a sweep: the view of the Python `SweepTable`. */

import type { RenderProps } from "@anywidget/types";

import { h, setText } from "../shared/dom";
import { mount } from "../shared/mount";
import { observe } from "../shared/observe";
import type { SweepTraits } from "./model";
import { createPlot } from "./plot";
import { createTable } from "./table";

function render({ model, el, signal }: RenderProps<SweepTraits>): void {
  const choose = (name: string): void => {
    model.set("chosen", name);
    model.save_changes();
  };
  const summary = h("span", { class: "sps-summary", role: "status" });
  const metric = h("p", { class: "sps-metric" });
  const plot = createPlot(choose, signal);
  const table = createTable(choose);
  const detail = h("pre", {
    class: "sps-detail",
    // Reached by the keyboard, because it scrolls.
    tabindex: "0",
    role: "region",
    "aria-label": "The chosen run",
    "data-lm-suppress-shortcuts": "true",
  });
  const root = h(
    "div",
    { class: "sp-sweep", role: "region", "aria-label": "Sweep" },
    h(
      "div",
      { class: "sps-header" },
      h("span", { class: "sps-title", "aria-hidden": "true" }, "Sweep"),
      summary,
    ),
    metric,
    plot.element,
    table.element,
    detail,
  );
  mount(el, root, signal, "");

  observe(
    model,
    ["rows", "fields", "chosen", "metric"],
    () => {
      const [rows, chosen] = [model.get("rows"), model.get("chosen")];
      table.show(model.get("fields"), rows, chosen);
      plot.show(rows, chosen);
      setText(metric, model.get("metric"));
      metric.hidden = plot.element.hidden;
    },
    signal,
  );
  observe(
    model,
    ["summary", "detail"],
    () => {
      setText(summary, model.get("summary"));
      setText(detail, model.get("detail"));
      detail.hidden = model.get("detail") === "";
    },
    signal,
  );
}

export default { render };

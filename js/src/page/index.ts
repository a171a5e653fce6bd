/** The page of a run that works from disk: the views of the widgets, without a kernel. */

import type { AnyModel, RenderProps } from "@anywidget/types";

import type { ChartTraits } from "../chart/model";
import { createView as createChart } from "../chart/view";
import circuitView from "../circuit/index";
import type { CircuitTraits } from "../circuit/model";
import faithfulnessView from "../faithfulness/index";
import type { FaithfulnessTraits } from "../faithfulness/model";
import { CHART_DEFAULTS } from "../generated/chart";
import { CIRCUIT_DEFAULTS } from "../generated/circuit";
import { FAITHFULNESS_DEFAULTS } from "../generated/faithfulness";
import { h } from "../shared/dom";
import { readData } from "./data";
import { drawFigure } from "./figure";
import { PageModel } from "./model";
import { showPrompts } from "./prompts";

/** The page is as it is until it is closed. */
const forever = new AbortController().signal;

const place = (name: string): HTMLElement => {
  const found = document.getElementById(`sp-${name}`);
  if (!found) throw new Error(`The page has no place for its ${name}.`);
  return found;
};

const data = readData(place("data").textContent);

const circuit = new PageModel<CircuitTraits>({ ...CIRCUIT_DEFAULTS, ...data.circuit });
render(circuitView.render, circuit, place("circuit"));
if (data.chart) {
  showChart(new PageModel<ChartTraits>({ ...CHART_DEFAULTS, ...data.chart }), place("chart"));
}
if (data.prompts) showPrompts(data.prompts, circuit, place("prompts"), forever);
if (data.faithfulness) {
  const curves = new PageModel<FaithfulnessTraits>({
    ...FAITHFULNESS_DEFAULTS,
    ...data.faithfulness,
    n_edges: circuit.get("n_edges"),
  });
  circuit.on("change:n_edges", () => {
    curves.set("n_edges", circuit.get("n_edges"));
  });
  curves.on("change:n_edges", () => {
    circuit.set("n_edges", curves.get("n_edges"));
  });
  render(faithfulnessView.render, curves, place("faithfulness"));
}

function render<T extends Record<string, unknown>>(
  view: (props: RenderProps<T>) => void,
  model: AnyModel<T>,
  el: HTMLElement,
): void {
  const alone = (): Promise<never> => Promise.reject(new Error("No kernel is behind this page."));
  view({
    model,
    el,
    signal: forever,
    host: { getWidget: alone, getModel: alone },
    experimental: { invoke: alone },
  });
}

/** The parts of the chart stand as in a notebook, where bqplot's figure is one of them. */
function showChart(model: AnyModel<ChartTraits>, el: HTMLElement): void {
  const tools = h("div", { class: "spx" });
  const figure = h("div", { class: "spg-figure" });
  el.append(
    h(
      "div",
      { class: "sp-chart widget-vbox", role: "region", "aria-label": "Chart" },
      h("div", { class: "sp-chart-tools" }, tools),
      figure,
    ),
  );
  createChart(model, tools, forever);
  drawFigure(model, figure, forever);
}

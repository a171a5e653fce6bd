import { h, setText } from "../shared/dom";
import { svg } from "../shared/svg";
import { formatCount, formatValue } from "./format";
import { DASHES } from "./lines";
import { traceName, type TraceSpec } from "./model";
import { listed, valueOf, type Scene, type Trace } from "./scene";

export interface Legend {
  element: HTMLElement;
  /** `step`: the one whose values are read. */
  show(scene: Scene, step: number | null): void;
}

interface Row {
  element: HTMLTableRowElement;
  update(trace: Trace, step: number | null): void;
}

/** The traces with a sample of each, a switch to hide it, and its numbers. */
export function createLegend(hide: (name: string, hidden: boolean) => void): Legend {
  const heading = h("th", { scope: "col" });
  const body = h("tbody");
  const table = h(
    "table",
    { class: "spx-legend" },
    h("caption", { class: "spx-hidden" }, "Lines of the chart"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, h("span", { class: "spx-hidden" }, "Line")),
        h("th", { scope: "col" }, "Last"),
        h("th", { scope: "col" }, "Lowest"),
        heading,
      ),
    ),
    body,
  );
  const element = h(
    "details",
    { class: "spx-key", open: true },
    h("summary", { class: "spx-summary" }, "Legend"),
    table,
  );
  let rows: Row[] = [];
  let specs = "";

  return {
    element,
    show(scene, step) {
      const traces = listed(scene);
      const wanted = JSON.stringify(traces.map(({ spec }) => spec));
      if (wanted !== specs) {
        specs = wanted;
        rows = traces.map(({ spec }) => createRow(spec, hide));
        body.replaceChildren(...rows.map((row) => row.element));
      }
      const thinned = traces.some((trace) => trace.thinned);
      element.classList.toggle("spx-reading", step !== null);
      const at = step === null ? "" : ` ${formatCount(step)}`;
      setText(heading, step === null ? "At step –" : `${thinned ? "Near" : "At"} step${at}`);
      rows.forEach((row, index) => {
        const trace = traces[index];
        if (trace) row.update(trace, step);
      });
    },
  };
}

function createRow(spec: TraceSpec, hide: (name: string, hidden: boolean) => void): Row {
  const name = traceName(spec);
  const box = h("input", { type: "checkbox", class: "spx-box" });
  box.addEventListener("change", () => {
    hide(name, !box.checked);
  });
  const label = h("label", { class: "spx-line" }, box, sample(spec), h("span", {}, name));
  const [last, lowest, read] = [h("td"), h("td"), h("td")];
  const element = h("tr", {}, h("th", { scope: "row" }, label), last, lowest, read);
  return {
    element,
    update(trace, step) {
      box.checked = !trace.hidden;
      element.classList.toggle("spx-off", trace.hidden);
      setText(last, formatValue(spec, trace.data.last));
      setText(lowest, formatValue(spec, trace.data.lowest));
      setText(read, step === null ? "" : formatValue(spec, valueOf(trace, step)));
    },
  };
}

function sample(spec: TraceSpec): SVGElement {
  return svg(
    "svg",
    { viewBox: "0 0 34 10", "aria-hidden": "true" },
    svg("path", {
      d: spec.stepped ? "M0 2h17v6h17" : "M0 5h34",
      fill: "none",
      stroke: spec.colour,
      "stroke-width": spec.stroke_width,
      "stroke-dasharray": DASHES[spec.line_style],
    }),
    ...(spec.marker ? [svg("path", { d: "M17 0.5 21 5l-4 4.5L13 5z", fill: spec.colour })] : []),
  );
}

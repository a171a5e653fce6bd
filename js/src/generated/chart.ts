// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

/** The scales and axes of the figure. */
export type Parts = {
  steps: string;
  left: string;
  right: string;
  steps_axis: string;
  left_axis: string;
  right_axis: string;
};

export type AxisName = "steps" | "left" | "right";

/** Pixels from the edges of the figure to its plot. */
export type Margins = {
  top: number;
  bottom: number;
  left: number;
  right: number;
};

export type LineStyle = "solid" | "dashed" | "dotted" | "dash_dotted";

/** The look of a trace with what draws it, for the browser. */
export type TraceSpec = {
  label: string;
  /** The name of an earlier run; empty: the present one. */
  run: string;
  axis: "left" | "right";
  colour: string;
  line_style: LineStyle;
  stroke_width: number;
  stepped: boolean;
  marker: boolean;
  /** Whether it can be smoothed. */
  smooths: boolean;
  /** The line as measured and, where it can be smoothed, the smooth one. */
  marks: string[];
};

/** The points of a trace, for the browser. */
export type TraceData = {
  points: DataView;
  /** What it is smoothed from; empty: the points. */
  means: DataView;
  last: number | null;
  lowest: number | null;
};

/** The values at some of the steps; empty before the first. */
export type Table = {
  columns?: string[];
  /** A step, and a value for each of the columns. */
  rows?: ((number | null)[])[];
};

/** The traits of the Python `ChartTools`. */
export type ChartTraits = {
  parts: Parts;
  axis_labels: Record<AxisName, string>;
  margins: Margins;
  /** First those of the present run. */
  traces: TraceSpec[];
  /** The points of the traces of the present run. */
  live: TraceData[];
  /** Those of the other traces. */
  still: TraceData[];
  /** The chart in words. */
  summary: string;
  table: Table;
  /** The axes that are logarithmic; none is while a value on it is below zero. */
  log_axes: AxisName[];
  /** What can be seen of earlier runs, by the label of its line. */
  quantities: string[];
  /** What is seen of earlier runs. */
  quantity: string;
  /** Weight of what came before in the moving average; 0: no smoothing. */
  smoothing: number;
  /** The first and the last step in view; `None`: all. */
  window: [number, number] | null;
  /** Traces that are not drawn, by name: `Loss`, or `Loss, run 1` of an earlier run. */
  hidden: string[];
};

/** The traits of a new widget, but for those that it is given. */
export const CHART_DEFAULTS: Partial<ChartTraits> = {
  axis_labels: { "steps": "Step", "left": "Loss and its terms", "right": "Edges in the circuit" },
  traces: [],
  live: [],
  still: [],
  summary: "",
  log_axes: ["left"],
  quantities: [],
  quantity: "Loss",
  smoothing: 0,
  window: null,
  hidden: [],
};

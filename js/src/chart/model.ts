/** What the Python `ChartTools` shares with its views. */

import type { AnyModel } from "@anywidget/types";

export type AxisName = "steps" | "left" | "right";

/** The look of a trace; see the Python `Trace.describe`. */
export interface TraceSpec {
  label: string;
  /** The name of an earlier run; empty: the present one. */
  run: string;
  axis: "left" | "right";
  colour: string;
  line_style: "solid" | "dashed" | "dotted" | "dash_dotted";
  stroke_width: number;
  stepped: boolean;
  marker: boolean;
  /** References to bqplot's lines: as measured and, where it can be smoothed, the smooth one. */
  marks: string[];
}

/** The points of a trace; see the Python `Trace.data`. */
export interface TraceData {
  points: DataView;
  means: DataView;
  last: number | null;
  lowest: number | null;
}

export interface Table {
  columns?: string[];
  /** A step, and a value for each of the columns. */
  rows?: [number, ...(number | null)[]][];
}

export type Margins = Record<"top" | "bottom" | "left" | "right", number>;

export interface ChartTraits extends Record<string, unknown> {
  parts: Record<AxisName | `${AxisName}_axis`, string>;
  margins: Margins;
  traces: TraceSpec[];
  live: TraceData[];
  still: TraceData[];
  summary: string;
  table: Table;
  log: AxisName[];
  smoothing: number;
  window: [number, number] | null;
  hidden: string[];
}

export type ChartModel = AnyModel<ChartTraits>;

/** The traits that the picture depends on. */
export const PICTURED = [
  "traces",
  "live",
  "still",
  "log",
  "smoothing",
  "window",
  "hidden",
] as const;

/** The name of a trace: in the legend, and in the trait `hidden`. */
export function traceName(spec: TraceSpec): string {
  return spec.run ? `${spec.label}, ${spec.run}` : spec.label;
}

/** What the Python `ChartTools` shares with its views. */

import type { AnyModel } from "@anywidget/types";

import type { AxisName, ChartTraits, TraceSpec } from "../generated/chart";

export type * from "../generated/chart";

export type ChartModel = AnyModel<ChartTraits>;

export const AXES: AxisName[] = ["steps", "left", "right"];

/** The traits that the picture depends on. */
export const PICTURED = [
  "traces",
  "live",
  "still",
  "log_axes",
  "smoothing",
  "window",
  "hidden",
] as const;

/** The name of a trace: in the legend, and in the trait `hidden`. */
export function traceName(spec: TraceSpec): string {
  return spec.run ? `${spec.label}, ${spec.run}` : spec.label;
}

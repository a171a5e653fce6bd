/** What the chart shows at a moment, worked out from the traits. */

import {
  countAxis,
  inPane,
  LEAST_COUNT,
  lossAxis,
  PANES,
  stepsAxis,
  type Axis,
  type Range,
} from "./axis";
import {
  traceName,
  type AxisName,
  type ChartTraits,
  type TraceData,
  type TraceSpec,
} from "./model";
import { clip, latest, nearest, readPoints, type Points } from "./points";

export interface Trace {
  spec: TraceSpec;
  name: string;
  hidden: boolean;
  points: Points;
  /** What it is smoothed from. */
  means: Points;
  /** Some points of the run are left out of `points`. */
  thinned: boolean;
  data: TraceData;
}

export interface Scene {
  traces: Trace[];
  /** All steps that there are. */
  all: Range;
  /** The steps in view. */
  view: Range;
  axes: Record<AxisName, Axis>;
}

type Traits = Pick<ChartTraits, "traces" | "live" | "still" | "log_axes" | "window" | "hidden">;

export function readScene(get: <K extends keyof Traits>(trait: K) => Traits[K]): Scene {
  const log = get("log_axes");
  const hidden = get("hidden");
  const data = [...get("live"), ...get("still")];
  const traces = get("traces").flatMap((spec, index) => {
    const its = data[index];
    return its ? [readTrace(spec, its, hidden.includes(traceName(spec)))] : [];
  });

  const last = Math.max(LEAST_COUNT, ...traces.map(({ points }) => points.x.at(-1) ?? 0));
  const all = { from: 1, to: last };
  const [from, to] = get("window") ?? [all.from, all.to];
  const view = { from, to };
  const seen = (axis: AxisName): Trace[] =>
    traces.filter((trace) => trace.spec.axis === axis && !trace.hidden);
  // A line that goes below zero would be cut off on a logarithmic axis.
  const isLog = (axis: AxisName): boolean =>
    log.includes(axis) && (extent(seen(axis), view, false)?.from ?? 0) >= 0;
  const values = (axis: AxisName): Range | null => extent(seen(axis), view, isLog(axis));
  return {
    traces,
    all,
    view,
    axes: {
      steps: stepsAxis(view, log.includes("steps")),
      left: inPane(lossAxis(values("left"), isLog("left")), PANES.left),
      right: inPane(countAxis(values("right"), isLog("right")), PANES.right),
    },
  };
}

/** Points that were read, as long as somebody holds the bytes: every view reads the same. */
const alreadyRead = new WeakMap<DataView, Points>();

function pointsOf(bytes: DataView): Points {
  const known = alreadyRead.get(bytes) ?? readPoints(bytes);
  alreadyRead.set(bytes, known);
  return known;
}

function readTrace(spec: TraceSpec, data: TraceData, hidden: boolean): Trace {
  const points = pointsOf(data.points);
  const thinned = data.means.byteLength > 0;
  const means = thinned ? pointsOf(data.means) : points;
  return { spec, name: traceName(spec), hidden, points, means, thinned, data };
}

/** The lowest and the highest value in view; on a logarithmic axis of those above zero. */
function extent(traces: Trace[], { from, to }: Range, log: boolean): Range | null {
  let low = Infinity;
  let high = -Infinity;
  for (const { points } of traces) {
    for (const value of clip(points, from, to).y) {
      if (log && value <= 0) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low <= high ? { from: low, to: high } : null;
}

/** The traces that have a place in the legend, the hard circuit first, once it was measured. */
export function listed({ traces }: Scene): Trace[] {
  const filled = traces.filter(({ spec, points }) => !spec.marker || points.x.length > 0);
  const isHard = ({ spec }: Trace): boolean => spec.marker && spec.run === "";
  return [...filled.filter(isHard), ...filled.filter((trace) => !isHard(trace))];
}

/** The value of a trace at a step; `null`: it has none there. */
export function valueOf({ spec, points }: Trace, step: number): number | null {
  // An evaluation holds until the next; a line has a point close by, or ends before.
  const index = spec.marker ? latest(points, step) : nearest(points, step);
  return points.y[index] ?? null;
}

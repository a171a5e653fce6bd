/** The lines that draw a trace, for whatever draws the figure: bqplot, or a page without a kernel. */

import { toAxis } from "./axis";
import type { TraceSpec } from "./model";
import { clip, type Points } from "./points";
import type { Scene, Trace } from "./scene";
import { smooth } from "./smooth";

/** bqplot's dash patterns. */
export const DASHES: Record<TraceSpec["line_style"], string> = {
  solid: "none",
  dashed: "10,10",
  dotted: "2,10",
  dash_dotted: "10,5,2,5",
};

/** How much of the line as measured is left to see below the smooth one. */
const FAINT = 0.3;

/** The length of a line of one point, in steps: a point alone would not be seen. */
const TICK = 0.4;

/** Earlier runs stay in the background. */
const PAST = 0.8;

const NO_POINTS: Points = { x: new Float32Array(0), y: new Float32Array(0) };

export interface Line {
  /** In the units of the axes. */
  points: Points;
  opacity: number;
}

/** Whether only a part of the steps is in view: then the lines are cut off around it. */
export function isCut({ view, all }: Scene): boolean {
  return view.from > all.from || view.to < all.to;
}

/** The line as measured: faint where there is a smooth one. */
export function measuredLine(trace: Trace, scene: Scene, smoothing: number): Line {
  const opacity = smoothing > 0 && trace.spec.smooths ? FAINT : full(trace);
  return { points: placed(trace.points, trace, scene), opacity };
}

/** The smooth line; without points where the trace is not smoothed. */
export function smoothLine(trace: Trace, scene: Scene, smoothing: number): Line {
  const smooths = smoothing > 0 && trace.spec.smooths;
  const points = smooths ? placed(smooth(trace.means, smoothing), trace, scene) : NO_POINTS;
  return { points, opacity: full(trace) };
}

function full(trace: Trace): number {
  return trace.spec.run ? PAST : 1;
}

/** The points in view on the axes; what a logarithmic axis cannot show is left out. */
function placed(points: Points, { spec, hidden }: Trace, scene: Scene): Points {
  if (hidden) return NO_POINTS;
  // Of a line that is wholly in view nothing has to be cut off anew whenever the run grows.
  const seen = isCut(scene) ? clip(points, scene.view.from, scene.view.to) : points;
  const { x, y } = spec.marker ? seen : asTick(seen);
  const log = { x: scene.axes.steps.log, y: scene.axes[spec.axis].log };
  if (!log.x && !log.y) return { x, y };
  const shown = x.map((_, i) => i).filter((i) => !log.y || (y[i] ?? 0) > 0);
  return {
    x: Float32Array.from(shown, (i) => toAxis(x[i] ?? 0, log.x)),
    y: Float32Array.from(shown, (i) => toAxis(y[i] ?? 0, log.y)),
  };
}

/** A line of one point as a short dash. */
function asTick(points: Points): Points {
  const [x, ...others] = points.x;
  const [y] = points.y;
  if (x === undefined || y === undefined || others.length > 0) return points;
  return { x: Float32Array.of(x, x + TICK), y: Float32Array.of(y, y) };
}

import type { Points } from "./points";

/** Steps of a run in which smoothing is by the step; of a longer run, parts of this many. */
const PARTS = 1000;

/**
 * A moving average with exponentially falling weights, which sum to one from the first point on.
 *
 * `weight` is what is left of a value one step later. Of a run of more than 1,000 steps it is what
 * is left after a thousandth of the run, so that a line is as smooth to the eye however long it is.
 */
export function smooth({ x, y }: Points, weight: number): Points {
  const n = x.length;
  const run = (x[n - 1] ?? 0) - (x[0] ?? 0);
  const unit = Math.max(1, run / PARTS);
  const average = new Float32Array(n);
  let sum = 0;
  let weights = 0;
  for (let i = 0; i < n; i++) {
    const kept = i === 0 ? 0 : weight ** (((x[i] ?? 0) - (x[i - 1] ?? 0)) / unit);
    sum = kept * sum + (y[i] ?? 0);
    weights = kept * weights + 1;
    average[i] = sum / weights;
  }
  return { x, y: average };
}

/** The points of a line. */

export interface Points {
  /** Ascending. */
  x: Float32Array;
  y: Float32Array;
}

/** Reads all x and then all y, as 32-bit floats. */
export function readPoints(bytes: DataView): Points {
  // A copy: a view of somebody else's buffer need not lie on a multiple of four bytes.
  const both = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
  );
  const n = both.length / 2;
  return { x: both.slice(0, n), y: both.slice(n) };
}

/** The index of the first point that is not before `x`; the number of points if there is none. */
export function firstFrom(points: Points, x: number): number {
  let low = 0;
  let high = points.x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points.x[middle] ?? 0) < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The index of the point nearest to `x`; -1 if `x` is beyond either end. */
export function nearest(points: Points, x: number): number {
  const n = points.x.length;
  if (n === 0 || x < (points.x[0] ?? 0) || x > (points.x[n - 1] ?? 0)) return -1;
  const after = firstFrom(points, x);
  const before = Math.max(0, after - 1);
  return x - (points.x[before] ?? 0) < (points.x[after] ?? 0) - x ? before : after;
}

/** The index of the last point that is not after `x`; -1 if there is none. */
export function latest(points: Points, x: number): number {
  const after = firstFrom(points, x);
  return points.x[after] === x ? after : after - 1;
}

/** The points from `from` to `to` and one more on either side, where the line goes on. */
export function clip(points: Points, from: number, to: number): Points {
  const start = Math.max(0, firstFrom(points, from) - 1);
  const end = latest(points, to) + 2;
  return { x: points.x.slice(start, end), y: points.y.slice(start, end) };
}

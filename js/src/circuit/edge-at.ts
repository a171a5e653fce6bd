// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import type { Curve } from "./routes";

/** Pixels from a line within which the pointer is on it. */
const REACH = 6;

/** Points along each piece of a line. */
const POINTS = 20;

/** Finds the line under the pointer. */
export class EdgeFinder {
  #edges: readonly number[] = [];
  #curveOf: (edge: number) => Curve = () => [];
  #lines: Float32Array[] | null = null;

  /** From now on these edges are in the picture, the topmost last. */
  take(edges: readonly number[], curveOf: (edge: number) => Curve): void {
    this.#edges = edges;
    this.#curveOf = curveOf;
    // Most pictures are never pointed at.
    this.#lines = null;
  }

  /** The edge whose line is nearest to a point, and within reach; null: there is none. */
  at(x: number, y: number): number | null {
    this.#lines ??= this.#edges.map((edge) => sampled(this.#curveOf(edge)));
    let best: number | null = null;
    let least = REACH * REACH;
    this.#lines.forEach((line, i) => {
      for (let k = 0; k + 3 < line.length; k += 2) {
        const away = distance(x, y, line[k]!, line[k + 1]!, line[k + 2]!, line[k + 3]!);
        // Of equals the topmost.
        if (away <= least) [best, least] = [this.#edges[i]!, away];
      }
    });
    return best;
  }
}

/** Points along a curve: x and y in turn. */
function sampled(curve: Curve): Float32Array {
  const pieces = (curve.length - 2) / 6;
  const line = new Float32Array(2 * (pieces * POINTS + 1));
  for (let piece = 0; piece < pieces; piece++) {
    for (let step = 0; step <= POINTS; step++) {
      const t = step / POINTS;
      const s = 1 - t;
      const weights = [s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t];
      for (const axis of [0, 1]) {
        line[2 * (piece * POINTS + step) + axis] = weights.reduce(
          (sum, weight, i) => sum + weight * curve[6 * piece + 2 * i + axis]!,
          0,
        );
      }
    }
  }
  return line;
}

/** The square of the distance from a point to a piece of a straight line. */
function distance(x: number, y: number, x1: number, y1: number, x2: number, y2: number): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const length = dx * dx + dy * dy;
  const share = length === 0 ? 0 : ((x - x1) * dx + (y - y1) * dy) / length;
  const t = Math.min(1, Math.max(0, share));
  return (x - x1 - t * dx) ** 2 + (y - y1 - t * dy) ** 2;
}

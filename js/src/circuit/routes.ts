// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import {
  BARE_PORT_HEIGHT,
  PORT_HEIGHT,
  PORTS,
  PULL,
  SHARED_PORTS,
  SHARPEST,
} from "../generated/measures";
import { boxAt, destinationOf, type Graph } from "./graph";
import type { Layout } from "./layout";
import type { Port } from "./model";

/** Cubic curves end to end: the start, and of each curve two control points and its end. */
export type Curve = readonly number[];

/** The offset of a port in its box: the ports that a box has share its lower side. */
export function portX(graph: Graph, layout: Layout, spot: number, port: Port): number {
  const { kind } = boxAt(graph, spot);
  const offsets = kind === "shared" ? SHARED_PORTS : PORTS;
  return layout.x[spot]! + offsets[port] * layout.boxWidth[spot]!;
}

export function portHeight(layout: Layout): number {
  return layout.lettered ? PORT_HEIGHT : BARE_PORT_HEIGHT;
}

/**
 * The line of an edge, from the top of its source to the bottom, or a port, of its destination: the
 * same rule as `sp_widget/report/edge_routes.py`.
 */
export function curveOf(graph: Graph, layout: Layout, edge: number): Curve {
  const from = graph.from[edge]!;
  const to = graph.to[edge]!;
  const { port } = destinationOf(graph, edge);
  const dx = layout.x[to]! - layout.x[from]!;
  // The ends of many edges share a side of a box in the order of where the edges go.
  const x1 = layout.x[from]! + spread(dx, layout.boxWidth[from]!, layout);
  const x2 = port
    ? portX(graph, layout, to, port)
    : layout.x[to]! + spread(-dx, layout.boxWidth[to]!, layout);
  const y1 = layout.y[from]! - layout.boxHeight / 2;
  const y2 = layout.y[to]! + layout.boxHeight / 2 + (port ? portHeight(layout) : 0);
  const lane = laneOf(graph, layout, edge, [x1, y1], [x2, y2]);
  if (!lane) return [x1, y1, ...rising(x1, y1, x2, y2)];
  const { x, below, above } = lane;
  return [
    x1,
    y1,
    ...rising(x1, y1, x, below),
    x,
    below,
    x,
    above,
    x,
    above,
    ...rising(x, above, x2, y2),
  ];
}

/** A curve that leaves and arrives upright: its two control points and its end. */
function rising(x1: number, y1: number, x2: number, y2: number): number[] {
  const pull = PULL * Math.max(0, y1 - y2);
  return [x1, y1 - pull, x2, y2 + pull, x2, y2];
}

function spread(distance: number, width: number, layout: Layout): number {
  const half = layout.columns[0]!.width / 2;
  const share = Math.min(1, Math.max(-1, distance / half));
  return share * Math.max(0, width / 2 - 6);
}

/** An upright piece of an edge. */
interface Lane {
  x: number;
  below: number;
  above: number;
}

/**
 * The way of a steep edge past the boxes that stand in its way, which would hide it or seem to be
 * where it comes from: upright between two columns of heads, from below the first such box to
 * above the last. Null: nothing is in its way.
 */
function laneOf(
  graph: Graph,
  layout: Layout,
  edge: number,
  [x1, y1]: [number, number],
  [x2, y2]: [number, number],
): Lane | null {
  const steep = Math.abs(x2 - x1) < Math.max(0.8 * layout.cell, 0.25 * (y1 - y2));
  if (!steep) return null;
  const nBoxes = graph.data.boxes.length;
  const first = graph.position[edge]! * nBoxes;
  const half = layout.boxHeight / 2 + 2;
  // As far to the left and to the right as it takes to get past every box.
  let [left, right] = [Infinity, -Infinity];
  let [below, above] = [0, Infinity];
  for (let spot = first; spot < first + nBoxes; spot++) {
    const y = layout.y[spot]!;
    if (!layout.shown[spot] || y > y1 - 1 || y < y2 + 1) continue;
    const width = layout.boxWidth[spot]!;
    // A box as wide as several heads hides no more than a piece in the middle.
    if (width > 1.25 * layout.cell) continue;
    const t = timeAt((y1 - y) / (y1 - y2));
    const aside = x1 + (x2 - x1) * t * t * (3 - 2 * t) - layout.x[spot]!;
    if (Math.abs(aside) > width / 2 + 3) continue;
    const clear = width / 2 + Math.min(16, Math.max(2, (layout.cell - width) / 2));
    left = Math.min(left, layout.x[spot]! - clear);
    right = Math.max(right, layout.x[spot]! + clear);
    below = Math.max(below, Math.min(y1, y + half));
    above = Math.min(above, Math.max(y2, y - half));
  }
  const middle = (x1 + x2) / 2;
  const lane = middle - left < right - middle ? left : right;
  // Nothing is in the way, or the way past it is no better: far aside in a short rise.
  const sharp =
    Math.abs(lane - x1) > SHARPEST * Math.max(10, y1 - below) ||
    Math.abs(lane - x2) > SHARPEST * Math.max(10, above - y2);
  if (right < left || sharp) return null;
  // Edges in one lane lie beside each other as far as there is room.
  return { x: lane + ((edge % 5) - 2) * Math.min(2, layout.cell / 32), below, above };
}

/** When a curve has risen by a share of its height. */
function timeAt(risen: number): number {
  let [low, high] = [0, 1];
  for (let i = 0; i < 8; i++) {
    const t = (low + high) / 2;
    const s = 1 - t;
    if (3 * s * t * (s * PULL + t * (1 - PULL)) + t * t * t < risen) low = t;
    else high = t;
  }
  return (low + high) / 2;
}

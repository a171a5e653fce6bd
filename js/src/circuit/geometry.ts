// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { boxAt, destinationOf, type Graph } from "./graph";
import type { Layout } from "./layout";
import type { Port } from "./model";

/** How far up the control points of an edge are, as a share of its height. */
const PULL = 0.42;

/** A cubic curve: start, two control points, end. */
export type Curve = [number, number, number, number, number, number, number, number];

/** How far a port is from the middle of its box, as a share of the box's width. */
export function portOffset(port: Port, shared: boolean): number {
  switch (port) {
    case "Q":
      return shared ? 0 : -0.31;
    case "V":
      return shared ? 0.2 : 0.31;
    case "K":
      return shared ? -0.2 : 0;
    case "":
      return 0;
  }
}

/** The offset of a port in its box: the ports that a box has share its lower side. */
export function portX(graph: Graph, layout: Layout, spot: number, port: Port): number {
  const { kind } = boxAt(graph, spot);
  return layout.x[spot]! + portOffset(port, kind === "shared") * layout.boxWidth[spot]!;
}

export function portHeight(layout: Layout): number {
  return layout.lettered ? 9 : 5;
}

/** The line of an edge, from the top of its source to the bottom, or a port, of its destination. */
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
  const rise = Math.max(0, y1 - y2);
  const swerve = swerveOf(graph, layout, edge, [x1, y1], [x2, y2]);
  const pull = PULL * rise;
  return [x1, y1, x1 + swerve, y1 - pull, x2 + swerve, y2 + pull, x2, y2];
}

function spread(distance: number, width: number, layout: Layout): number {
  const half = layout.columns[0]!.width / 2;
  const share = Math.min(1, Math.max(-1, distance / half));
  return share * Math.max(0, width / 2 - 6);
}

/**
 * A steep edge bends sideways where a box stands in its way, which would hide it or seem to be
 * where it comes from.
 */
function swerveOf(
  graph: Graph,
  layout: Layout,
  edge: number,
  [x1, y1]: [number, number],
  [x2, y2]: [number, number],
): number {
  const steep = Math.abs(x2 - x1) < Math.max(0.8 * layout.cell, 0.25 * (y1 - y2));
  if (!steep) return 0;
  const nBoxes = graph.data.boxes.length;
  const first = graph.position[edge]! * nBoxes;
  let side = 0;
  let swerve = 0;
  for (let spot = first; spot < first + nBoxes; spot++) {
    const y = layout.y[spot]!;
    if (!layout.shown[spot] || y > y1 - 1 || y < y2 + 1) continue;
    const t = timeAt((y1 - y) / (y1 - y2));
    const aside = x1 + (x2 - x1) * t * t * (3 - 2 * t) - layout.x[spot]!;
    const width = layout.boxWidth[spot]!;
    // A box as wide as several heads hides no more than a piece in the middle.
    if (width > 1.25 * layout.cell) continue;
    if (Math.abs(aside) > width / 2 + 3) continue;
    side ||= Math.sign(aside) || (graph.from[edge]! % 2 ? 1 : -1);
    // Half-way to the next head, where that is near.
    const clear = width / 2 + Math.min(14, Math.max(3, (layout.cell - width) / 2));
    // A cubic comes this share of the way to where its control points are.
    const share = Math.max(0.35, 3 * t * (1 - t));
    swerve = Math.max(swerve, (clear - side * aside) / share);
  }
  return side * swerve;
}

/** When the curve of an edge has risen by a share of its height. */
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

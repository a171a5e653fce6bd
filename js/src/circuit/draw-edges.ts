// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { ARROW_LENGTH, ARROW_WIDTH, MOST_DRAWN } from "../generated/measures";
import { verdictOn, type Circuit } from "./top-circuit";
import { curveOf, portHeight, portX, type Curve } from "./routes";
import { destinationOf, type Graph } from "./graph";
import type { Layout } from "./layout";
import type { Port } from "./model";
import type { Palette } from "./palette";
import { CARRYING_DASH, strokeOf, type Mark, type Ramp, type Stroke } from "./strokes";
import type { Edited } from "./switches";

/** What a picture is made of. */
export interface Scene {
  graph: Graph;
  layout: Layout;
  circuit: Circuit;
  edited: Edited;
  scores: Float32Array;
  /** What the shades show: the scores, or for each edge the share of runs that it is in. */
  shades: Float32Array;
  /** The values of the lightest and of the darkest shade. */
  ramp: Ramp;
  palette: Palette;
  onlyPaths: boolean;
  /** How far the picture is scrolled. */
  left: number;
}

const UNDERNEATH: Record<Mark, number> = { off: 0, extra: 1, miss: 2, hit: 3, on: 4 };

/** The edges that stand out, the most important last, so that it lies on top. */
export function crispEdges(scene: Scene): number[] {
  const { circuit } = scene;
  const edges: number[] = [...circuit.misses.subarray(0, MOST_DRAWN)];
  edges.push(...scene.edited.off.subarray(0, MOST_DRAWN).filter((each) => !isMissed(scene, each)));
  for (let rank = 0; rank < circuit.size; rank++) {
    const edge = circuit.order[rank]!;
    if (isCrisp(scene, edge, rank)) edges.push(edge);
  }
  edges.reverse();
  const layer = (edge: number): number => {
    const mark = markOf(scene, edge);
    return (isIdle(scene, edge, mark) ? 0 : 10) + (mark ? UNDERNEATH[mark] : 0);
  };
  return edges.sort((a, b) => layer(a) - layer(b));
}

/** The least and the largest absolute value of the edges of a circuit that stand out. */
export function rampOf(
  { circuit, onlyPaths }: Pick<Scene, "circuit" | "onlyPaths">,
  values: Float32Array,
): Ramp {
  let [least, most] = [Infinity, 0];
  for (let rank = 0; rank < Math.min(circuit.size, MOST_DRAWN); rank++) {
    const edge = circuit.order[rank]!;
    if (onlyPaths && !circuit.carrying[edge]) continue;
    const size = Math.abs(values[edge]!);
    least = Math.min(least, size);
    most = Math.max(most, size);
  }
  return [Math.min(least, most), most];
}

/** What sets an edge apart: that it was switched by hand, or how it compares. */
export function markOf(scene: Scene, edge: number): Mark | null {
  const change = scene.edited.changes?.[edge];
  if (change) return change < 0 ? "off" : "on";
  return verdictOn(scene.circuit, edge);
}

/** Whether an edge of the circuit carries nothing. */
function isIdle(scene: Scene, edge: number, mark: Mark | null): boolean {
  return mark !== "miss" && mark !== "off" && !scene.circuit.carrying[edge];
}

/** Whether the picture has a place for an edge: of those on no path it may leave out the ends too. */
export function isDrawn({ circuit, onlyPaths }: Scene, edge: number): boolean {
  return !onlyPaths || circuit.carrying[edge] === 1 || circuit.included[edge] === 0;
}

/** Whether both ends of an edge have a place in the picture. */
export function isPlaced({ graph, layout }: Scene, edge: number): boolean {
  return layout.shown[graph.from[edge]!] === 1 && layout.shown[graph.to[edge]!] === 1;
}

/** For each edge 1 if it is part of the density behind them. */
export function densityEdges(scene: Scene): Uint8Array {
  const { circuit, graph } = scene;
  const marks = new Uint8Array(graph.nEdges);
  for (let rank = MOST_DRAWN; rank < circuit.size; rank++) {
    const edge = circuit.order[rank]!;
    if (!isCrisp(scene, edge, rank) && isDrawn(scene, edge)) marks[edge] = 1;
  }
  return marks;
}

function isMissed({ circuit }: Scene, edge: number): boolean {
  return circuit.reference?.[edge] === 1 && circuit.included[edge] === 0;
}

function isCrisp(scene: Scene, edge: number, rank: number): boolean {
  if (!isDrawn(scene, edge)) return false;
  return rank < MOST_DRAWN;
}

/** Draws edges in the order in which they are given, those of one stroke together. */
export function drawEdges(
  context: CanvasRenderingContext2D,
  scene: Scene,
  edges: readonly number[],
  fade: boolean,
): void {
  const { graph, layout, shades, palette } = scene;
  let batch: { key: string; stroke: Stroke; edges: number[] }[] = [];
  let level = "";
  const flush = (): void => {
    for (const { stroke, edges: together } of batch) {
      context.strokeStyle = stroke.colour;
      context.lineWidth = stroke.width;
      context.globalAlpha = stroke.alpha;
      context.setLineDash([...stroke.dash]);
      context.beginPath();
      const curves = together.map((edge) => curveOf(graph, layout, edge));
      for (const curve of curves) trace(context, curve, ARROW_LENGTH);
      context.stroke();
      context.fillStyle = stroke.colour;
      context.beginPath();
      for (const curve of curves) addArrow(context, curve, stroke.width / 2 + ARROW_WIDTH);
      context.fill();
    }
    batch = [];
  };
  for (const edge of edges) {
    const { port } = destinationOf(graph, edge);
    const mark = markOf(scene, edge);
    const faded = fade && isIdle(scene, edge, mark);
    const stroke = strokeOf(palette, shades[edge] ?? 0, scene.ramp, port, mark, faded);
    // Within a shade, strokes differ only by their dashes: their order is of no matter.
    const next = `${stroke.colour} ${stroke.width} ${stroke.alpha}`;
    if (next !== level) flush();
    level = next;
    const key = stroke.dash.join(" ");
    const found = batch.find((one) => one.key === key);
    if (found) found.edges.push(edge);
    else batch.push({ key, stroke, edges: [edge] });
  }
  flush();
  context.globalAlpha = 1;
  context.setLineDash([]);
}

/** Draws one edge so that it stands out from all others: its line on a broad one. */
export function drawEmphasised(
  context: CanvasRenderingContext2D,
  scene: Scene,
  edge: number,
): void {
  context.strokeStyle = scene.palette.accent;
  context.lineWidth = 8;
  context.globalAlpha = 0.35;
  context.setLineDash([]);
  context.beginPath();
  trace(context, curveOf(scene.graph, scene.layout, edge), 0);
  context.stroke();
  context.globalAlpha = 1;
  drawEdges(context, scene, [edge], false);
}

/**
 * Draws where attention carries information from one token position to others: a line through the
 * row of a head, from the first position where it reads to the last where it writes.
 */
export function drawCarrying(context: CanvasRenderingContext2D, scene: Scene): void {
  const { layout, palette } = scene;
  context.strokeStyle = palette.muted;
  context.lineWidth = 1;
  context.setLineDash([...CARRYING_DASH]);
  context.beginPath();
  for (const [from, to] of scene.circuit.moves) {
    context.moveTo(layout.x[from]!, layout.y[from]!);
    context.lineTo(layout.x[to]!, layout.y[to]!);
  }
  context.stroke();
  context.setLineDash([]);
}

/** Adds a line that ends so many pixels below its end, where lines arrive upright. */
function trace(context: CanvasRenderingContext2D, curve: Curve, short: number): void {
  context.moveTo(curve[0]!, curve[1]!);
  for (let i = 2; i < curve.length; i += 6) {
    context.bezierCurveTo(
      curve[i]!,
      curve[i + 1]!,
      curve[i + 2]!,
      curve[i + 3]!,
      curve[i + 4]!,
      curve[i + 5]! + (i + 6 === curve.length ? short : 0),
    );
  }
}

function addArrow(context: CanvasRenderingContext2D, curve: Curve, half: number): void {
  const [x, y] = [curve.at(-2)!, curve.at(-1)!];
  context.moveTo(x, y);
  context.lineTo(x - half, y + ARROW_LENGTH);
  context.lineTo(x + half, y + ARROW_LENGTH);
}

/** Draws the ports that edges end at, lettered where there is room. */
export function drawPorts(
  context: CanvasRenderingContext2D,
  scene: Scene,
  edges: readonly number[],
): void {
  const { graph, layout, palette } = scene;
  const ports = new Map<string, { spot: number; port: Port }>();
  for (const edge of edges) {
    const { port } = destinationOf(graph, edge);
    const spot = graph.to[edge]!;
    if (port) ports.set(`${spot} ${port}`, { spot, port });
  }
  const width = layout.lettered ? 11 : 5;
  const height = portHeight(layout);
  context.font = "bold 8.5px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 1;
  context.fillStyle = layout.lettered ? palette.ground : palette.muted;
  context.strokeStyle = palette.muted;
  const places = [...ports.values()].map(({ spot, port }) => ({
    port,
    x: portX(graph, layout, spot, port),
    y: layout.y[spot]! + layout.boxHeight / 2 - 1,
  }));
  context.beginPath();
  for (const { x, y } of places) context.rect(x - width / 2, y, width, height);
  context.fill();
  context.stroke();
  if (!layout.lettered) return;
  context.fillStyle = palette.text;
  for (const { port, x, y } of places) context.fillText(port, x, y + height / 2 + 1.5);
}

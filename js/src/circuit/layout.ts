// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import {
  KINDS_IN_COLUMNS,
  LABEL_HEIGHT,
  LETTERED_WIDTH,
  LINE_STEP,
  LINES,
  MLP_CELLS,
  NARROW,
  NARROW_WIDTH,
  RAISED,
  WIDE,
} from "../generated/measures";
import type { Graph } from "./graph";
import type { Kind } from "./model";

/** Where everything is, in CSS pixels; a spot by the middle of its box. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  /** The width that there is room for; what is wider scrolls. */
  readonly available: number;
  /** For each spot 1 if it has a place in the picture. */
  readonly shown: Uint8Array;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly boxWidth: Float32Array;
  readonly boxHeight: number;
  /** Whether the ports of a head have room for their letters. */
  readonly lettered: boolean;
  /** The distance between two heads, the unit by which long edges swerve. */
  readonly cell: number;
  /** The distance between two blocks. */
  readonly pitch: number;
  /** The distance between two token positions. */
  readonly gap: number;
  /** Whether the labels of the rows have room for the word. */
  readonly wordy: boolean;
  readonly columns: readonly { position: number; x: number; width: number }[];
  readonly rows: readonly { block: number; y: number }[];
}

/**
 * Layers from bottom to top: the heads of a block in a row and its MLP beside them, above them if
 * it reads what they write. Heads stand in columns by their numbers, and columns without any close
 * up. Token positions stand side by side, and all together fill the width.
 *
 * The same rule as `sp_widget/report/circuit_layout.py`, with the measures that stand there;
 * `tests/fixtures/circuit_view/cases.json` holds both to the same coordinates.
 *
 * `shown` holds 1 for the spots that are part of the picture. Blocks without any close up, and so do
 * columns of heads: what is left fills the width in the order that it has among all, as near to its
 * columns as there is room. `fill`: the height that there is room for,
 * where that is not the picture's own choice.
 */
export function layOut(
  graph: Graph,
  shown: Uint8Array,
  available: number,
  fill: number | null = null,
): Layout {
  const size = available < NARROW_WIDTH ? NARROW : WIDE;
  const blocks = blocksOf(graph);
  const nBoxes = graph.data.boxes.length;
  const at = (position: number, block: Block, kind: Kind): number[] =>
    (block.get(kind) ?? [])
      .map((box) => position * nBoxes + box)
      .filter((spot) => shown[spot] === 1);
  const positions = Array.from({ length: graph.nPositions }, (_, i) => i);
  const has = (block: Block, kind: Kind): boolean =>
    positions.some((position) => at(position, block, kind).length > 0);

  const mlpCells = blocks.some((block) => has(block, "mlp")) ? MLP_CELLS : 0;
  const mostShown = Math.max(
    1,
    ...positions.flatMap((position) => blocks.map((block) => at(position, block, "head").length)),
  );
  const room =
    (available - size.gutter - size.margin - size.gap * (graph.nPositions - 1)) / graph.nPositions;
  const cell = clamp(room / (mostShown + mlpCells), size.min_cell, size.max_cell);
  const columnWidth = Math.max(size.min_column, (mostShown + mlpCells) * cell, room);
  const headsWidth = columnWidth - mlpCells * cell;
  const content = columnWidth * graph.nPositions + size.gap * (graph.nPositions - 1);
  const width = Math.max(available, size.gutter + content + size.margin);
  const columns = positions.map((position) => ({
    position,
    x: size.gutter + position * (columnWidth + size.gap),
    width: columnWidth,
  }));

  const orders = new Map<Kind, number[]>(
    KINDS_IN_COLUMNS.map((kind) => [kind, columnsOf(graph, blocks, kind, shown)]),
  );
  const stack = stackLines(graph, blocks, has);
  const above = size.box_height / 2 + 4;
  const labels = graph.data.positions ? LABEL_HEIGHT : 0;
  const wanted =
    fill === null
      ? size.height / (stack.top + 0.5)
      : (fill - above - size.box_height / 2 - 6 - labels) / stack.top;
  const pitch = clamp(wanted, size.min_pitch, size.max_pitch);
  const height = above + stack.top * pitch + size.box_height / 2 + 6 + labels;
  const yOf = (line: number): number => above + (stack.top - line) * pitch;

  const x = new Float32Array(graph.nSpots);
  const y = new Float32Array(graph.nSpots);
  const boxWidth = new Float32Array(graph.nSpots);
  const headWidth = Math.min(cell - 4, Math.max(20, Math.min(cell * 0.84, 56)));
  const mlpWidth = Math.min(cell * 1.12, 60);
  const endWidth = Math.min(columnWidth - 6, Math.max(150, columnWidth * 0.6));
  const put = (spots: number[], middles: number[], line: number, widths: number): void => {
    spots.forEach((spot, i) => {
      x[spot] = middles[i]!;
      y[spot] = yOf(line);
      boxWidth[spot] = widths;
    });
  };
  for (const column of columns) {
    const middle = [column.x + columnWidth / 2];
    const beside = [column.x + columnWidth - cell * 0.6];
    blocks.forEach((block, index) => {
      const { lines, mlp } = stack.blocks[index]!;
      put(at(column.position, block, "start"), middle, 0, endWidth);
      put(at(column.position, block, "end"), middle, stack.top, endWidth);
      put(at(column.position, block, "mlp"), beside, mlp, mlpWidth);
      for (const [kind, line] of lines) {
        const spots = at(column.position, block, kind);
        const order = orders.get(kind);
        if (!order) {
          put(spots, [column.x + headsWidth / 2], line, endWidth);
          continue;
        }
        const all = block.get(kind) ?? [];
        const share = headsWidth / order.length;
        const wanted = spots.map((spot) => order.indexOf(all.indexOf(spot % nBoxes)) + 0.5);
        const distance = kind === "head" ? cell : share;
        put(
          spots,
          spaced(
            wanted.map((w) => w * share),
            distance,
            headsWidth,
          ).map((w) => column.x + w),
          line,
          kind === "head" ? headWidth : Math.max(headWidth, Math.min(0.8 * share, 260)),
        );
      }
    });
  }
  return {
    width,
    height,
    available,
    shown,
    x,
    y,
    boxWidth,
    boxHeight: size.box_height,
    lettered: headWidth >= LETTERED_WIDTH,
    cell,
    pitch,
    gap: size.gap,
    wordy: size === WIDE,
    columns,
    rows: stack.blocks
      .map(({ label }, block) => ({ block, line: label }))
      .filter(({ line }) => line > 0)
      .map(({ block, line }) => ({ block, y: yOf(line) })),
  };
}

/** The spots of a picture: input and output always, without which nothing has an above or below. */
export function withEnds(graph: Graph, wanted: Uint8Array): Uint8Array {
  const { boxes } = graph.data;
  return wanted.map((one, spot) => {
    const { kind } = boxes[spot % boxes.length]!;
    return kind === "start" || kind === "end" ? 1 : one;
  });
}

/** The boxes of a block by kind, from left to right. */
type Block = Map<Kind, number[]>;

function blocksOf(graph: Graph): Block[] {
  const blocks: Block[] = [];
  graph.data.boxes.forEach((box, index) => {
    const block = (blocks[box.block] ??= new Map<Kind, number[]>());
    block.set(box.kind, [...(block.get(box.kind) ?? []), index]);
  });
  return blocks;
}

/** The numbers, within their blocks, of the boxes of a kind that are shown anywhere. */
function columnsOf(graph: Graph, blocks: Block[], kind: Kind, shown: Uint8Array): number[] {
  const nBoxes = graph.data.boxes.length;
  const visible = new Set([...shown.keys()].filter((spot) => shown[spot]).map((s) => s % nBoxes));
  const numbers = blocks.flatMap((block) =>
    (block.get(kind) ?? []).flatMap((box, number) => (visible.has(box) ? [number] : [])),
  );
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** The lines that boxes stand on, upwards from the input's at 0, in distances between blocks. */
interface Stack {
  /** The output's. */
  top: number;
  /** For each block its lines, and the one that is labelled; 0: nothing of it is shown. */
  blocks: { lines: Map<Kind, number>; mlp: number; label: number }[];
}

function stackLines(
  graph: Graph,
  blocks: Block[],
  has: (block: Block, kind: Kind) => boolean,
): Stack {
  let level = 0;
  let raised = false;
  const stacked = blocks.map((block) => {
    const kinds = LINES.filter((kind) => has(block, kind));
    const [hasMlp, hasPost] = [has(block, "mlp"), has(block, "post")];
    if (kinds.length === 0 && !hasMlp && !hasPost) return { lines: new Map(), mlp: 0, label: 0 };
    // Above the MLP of the block below, where that stands higher than its row.
    level += kinds.length > 0 || !raised ? 1 : 1 + RAISED / 2;
    raised = false;
    const lines = new Map<Kind, number>();
    kinds.forEach((kind, i) => {
      if (i > 0) level += LINE_STEP;
      lines.set(kind, level);
    });
    const label = lines.get("head") ?? level;
    // Behind a stream that it reads, an MLP has a line of its own.
    const streams = block.has("mid");
    if (streams && hasMlp && kinds.length > 0) level += LINE_STEP;
    const beside =
      kinds.length === 0 ||
      streams ||
      layerOf(graph, block, "mlp") === layerOf(graph, block, "head");
    raised = hasMlp && !beside;
    const mlp = level + (beside ? 0 : RAISED);
    if (hasPost) {
      if (kinds.length > 0 || hasMlp) level += LINE_STEP;
      lines.set("post", level);
    }
    return { lines, mlp, label };
  });
  return { top: level + 1 + RAISED / 2, blocks: stacked };
}

function layerOf(graph: Graph, block: Block, kind: Kind): number | undefined {
  const [box] = block.get(kind) ?? [];
  return box === undefined ? undefined : graph.data.boxes[box]?.layer;
}

/** Places as near to the wanted ones as a least distance allows, from left to right in the room. */
export function spaced(wanted: number[], distance: number, room: number): number[] {
  const least = Math.min(distance, room / Math.max(1, wanted.length));
  const places = [...wanted];
  for (let i = 0; i < places.length; i++) {
    places[i] = Math.max(places[i]!, i === 0 ? least / 2 : places[i - 1]! + least);
  }
  for (let i = places.length - 1; i >= 0; i--) {
    const last = i === places.length - 1;
    places[i] = Math.min(places[i]!, last ? room - least / 2 : places[i + 1]! - least);
  }
  return places;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

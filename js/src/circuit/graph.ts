import type { BoxData, DestinationData, GraphData } from "./model";

/**
 * The graph by edges. An edge goes by its place in the flat vector of all edges. A spot is a box
 * at a token position: what is drawn, pointed at and pinned.
 */
export interface Graph {
  readonly data: GraphData;
  readonly nEdges: number;
  readonly nPositions: number;
  readonly nSpots: number;
  /** For each edge its source, destination and token position. */
  readonly source: Uint16Array;
  readonly dest: Uint16Array;
  readonly position: Uint16Array;
  /** For each edge the spots that it leaves and reaches. */
  readonly from: Uint32Array;
  readonly to: Uint32Array;
  /** Whether an edge belongs to the known circuit; null where none is known. */
  readonly official: Uint8Array | null;
}

export function readGraph(data: GraphData): Graph {
  const nPositions = data.positions?.length ?? 1;
  const nBoxes = data.boxes.length;
  const nEdges =
    nPositions * data.modules.reduce((sum, module) => sum + module.rows * count(module.sources), 0);
  const source = new Uint16Array(nEdges);
  const dest = new Uint16Array(nEdges);
  const position = new Uint16Array(nEdges);
  const from = new Uint32Array(nEdges);
  const to = new Uint32Array(nEdges);
  let edge = 0;
  for (const module of data.modules) {
    for (let at = 0; at < nPositions; at++) {
      for (let row = module.first; row < module.first + module.rows; row++) {
        const reached = at * nBoxes + destination(data, row).box;
        for (let src = module.sources[0]; src < module.sources[1]; src++, edge++) {
          source[edge] = src;
          dest[edge] = row;
          position[edge] = at;
          from[edge] = at * nBoxes + (data.sources[src] ?? 0);
          to[edge] = reached;
        }
      }
    }
  }
  return {
    data,
    nEdges,
    nPositions,
    nSpots: nPositions * nBoxes,
    source,
    dest,
    position,
    from,
    to,
    official: data.official && marked(nEdges, data.official),
  };
}

/** How many places a stretch has. */
export function count([first, end]: readonly [number, number]): number {
  return end - first;
}

export function boxAt(graph: Graph, spot: number): BoxData {
  const box = graph.data.boxes[spot % graph.data.boxes.length];
  if (!box) throw new RangeError(`There is no spot ${spot}.`);
  return box;
}

export function positionOf(graph: Graph, spot: number): number {
  return Math.floor(spot / graph.data.boxes.length);
}

export function sourceName(graph: Graph, edge: number): string {
  return boxAt(graph, graph.from[edge] ?? 0).name;
}

export function destinationOf(graph: Graph, edge: number): DestinationData {
  return destination(graph.data, graph.dest[edge] ?? 0);
}

/** The spot by which a node is pinned: `A9.6`, or `3:A9.6` at token position 3. */
export function spotName(graph: Graph, spot: number): string {
  const { name } = boxAt(graph, spot);
  return graph.data.positions ? `${positionOf(graph, spot)}:${name}` : name;
}

/** A token position in words: `3, "store"`, or only `3` where that is its label. */
export function positionName(graph: Graph, position: number): string {
  const label = graph.data.positions?.[position] ?? "";
  return label === String(position) ? label : `${position}, “${label}”`;
}

/** A node in words, for those who do not know its short name by heart. */
export function describeBox({ kind, block, head }: BoxData): string {
  switch (kind) {
    case "start":
      return "Resid Start, the embedding";
    case "end":
      return "Resid End, the logits";
    case "head":
      return `head ${head ?? 0} of block ${block}`;
    case "shared":
      return `shared keys and values ${head ?? 0} of block ${block}`;
    case "attention":
      return `attention output of block ${block}`;
    case "mid":
      return `residual stream behind the attention of block ${block}`;
    case "mlp":
      return `MLP of block ${block}`;
    case "post":
      return `residual stream behind block ${block}`;
  }
}

function destination(data: GraphData, row: number): DestinationData {
  const found = data.destinations[row];
  if (!found) throw new RangeError(`There is no destination ${row}.`);
  return found;
}

function marked(length: number, places: number[]): Uint8Array {
  const marks = new Uint8Array(length);
  for (const place of places) marks[place] = 1;
  return marks;
}

// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { DEFAULT_SIZE } from "../generated/measures";
import type { Graph } from "./graph";
import { onPaths } from "./paths";

/** How an edge of the picture compares with another circuit: in both, only there, only here. */
export type Verdict = "hit" | "miss" | "extra";

/** The circuit of the `size` most important edges, and what follows from it. */
export interface Circuit {
  readonly size: number;
  /** All edges by importance; the first `size` are the circuit. */
  readonly order: Uint32Array;
  /** For each edge 1 if it is in the circuit. */
  readonly included: Uint8Array;
  /** For each edge 1 if it is in the circuit and lies on a path from input to output. */
  readonly carrying: Uint8Array;
  readonly nCarrying: number;
  /** For each spot, how many edges of the circuit it has. */
  readonly degree: Uint32Array;
  /** For each spot 1 if it lies on a path. */
  readonly alive: Uint8Array;
  readonly nAlive: number;
  /** For each edge 1 if it is in the circuit that this one is compared with; null: with none. */
  readonly reference: Uint8Array | null;
  /** Edges of that circuit that are not in this one, and the spots that they touch. */
  readonly misses: Uint32Array;
  readonly missed: Uint8Array;
  readonly hits: number;
  /** Where attention carries anything on: the spots of a head's first and last position. */
  readonly moves: readonly (readonly [number, number])[];
}

/** The circuit of the first `size` edges in `order`, beside another one: 1 for each of its edges. */
export function topCircuit(
  graph: Graph,
  order: Uint32Array,
  size: number,
  reference: Uint8Array | null,
): Circuit {
  const included = new Uint8Array(graph.nEdges);
  const degree = new Uint32Array(graph.nSpots);
  for (let rank = 0; rank < size; rank++) {
    const edge = order[rank]!;
    included[edge] = 1;
    degree[graph.from[edge]!]! += 1;
    degree[graph.to[edge]!]! += 1;
  }
  const carrying = onPaths(graph, included);
  const alive = new Uint8Array(graph.nSpots);
  let nCarrying = 0;
  for (let rank = 0; rank < size; rank++) {
    const edge = order[rank]!;
    if (!carrying[edge]) continue;
    nCarrying += 1;
    alive[graph.from[edge]!] = 1;
    alive[graph.to[edge]!] = 1;
  }
  const missed = new Uint8Array(graph.nSpots);
  const misses: number[] = [];
  let hits = 0;
  if (reference) {
    // By importance, so that the list of misses begins with the nearest.
    for (let rank = 0; rank < order.length; rank++) {
      const edge = order[rank]!;
      if (!reference[edge]) continue;
      if (rank < size) {
        hits += 1;
        continue;
      }
      misses.push(edge);
      missed[graph.from[edge]!] = 1;
      missed[graph.to[edge]!] = 1;
    }
  }
  return {
    size,
    order,
    included,
    carrying,
    nCarrying,
    degree,
    alive,
    reference,
    nAlive: alive.reduce((sum, one) => sum + one, 0),
    misses: Uint32Array.from(misses),
    missed,
    hits,
    moves: movesOf(graph, order.subarray(0, size), carrying),
  };
}

/** For each head that carries anything: from where it first reads to where it last writes. */
function movesOf(graph: Graph, edges: Uint32Array, carrying: Uint8Array): [number, number][] {
  if (graph.nPositions === 1) return [];
  const { data, position } = graph;
  const nBoxes = data.boxes.length;
  /** Of each destination the boxes that attention carries to other positions what it reads. */
  const moving = data.destinations.map(({ feeds }) => [
    ...new Set(
      feeds.flatMap(({ sources, moves }) => (moves ? data.sources.slice(...sources) : [])),
    ),
  ]);
  const firstRead = new Int32Array(nBoxes).fill(graph.nPositions);
  const lastRead = new Int32Array(nBoxes).fill(-1);
  const firstWrite = firstRead.slice();
  const lastWrite = lastRead.slice();
  for (const edge of edges) {
    if (!carrying[edge]) continue;
    const at = position[edge]!;
    const source = graph.from[edge]! % nBoxes;
    firstWrite[source] = Math.min(firstWrite[source]!, at);
    lastWrite[source] = Math.max(lastWrite[source]!, at);
    for (const reader of moving[graph.dest[edge]!]!) {
      firstRead[reader] = Math.min(firstRead[reader]!, at);
      lastRead[reader] = Math.max(lastRead[reader]!, at);
    }
  }
  return data.boxes.flatMap((_, box): [number, number][] => {
    if (lastRead[box]! < 0 || lastWrite[box]! < 0) return [];
    // Attention that looks both ways also carries back.
    const first = data.causal ? firstRead[box]! : Math.min(firstRead[box]!, firstWrite[box]!);
    const last = data.causal ? lastWrite[box]! : Math.max(lastRead[box]!, lastWrite[box]!);
    return last > first ? [[first * nBoxes + box, last * nBoxes + box]] : [];
  });
}

/** How an edge that is in one of two circuits compares; null where there is no other one. */
export function verdictOn({ reference, included }: Circuit, edge: number): Verdict | null {
  if (!reference) return null;
  if (!included[edge]) return "miss";
  return reference[edge] ? "hit" : "extra";
}

/** The number of edges to show: what a person chose, else the training, else a small circuit. */
export function shownSize(
  chosen: number | null,
  training: number | null,
  known: number | null,
  most: number,
): number {
  const size = chosen ?? training ?? (known === null || known === 0 ? DEFAULT_SIZE : known);
  return Math.min(most, Math.max(0, Math.round(size)));
}

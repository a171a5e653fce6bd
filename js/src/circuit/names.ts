// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { destinationOf, sourceName, spotName, type Graph } from "./graph";

/** Nodes and edges by the names that code has for them. */
export interface Names {
  /** The node of a name such as `A9.6`, or `3:A9.6` at a token position; null: there is none. */
  spot(name: string): number | null;
  /** The edge of a name such as `A9.6->Resid End`; null: there is none. */
  edge(name: string): number | null;
  /** All edges of a node, or the edge of this name. */
  edgesOf(name: string): Uint32Array;
}

/** `A9.6->MLP 10`, or `3:A9.6->MLP 10` at a token position, as Python writes it. */
export function edgeName(graph: Graph, edge: number): string {
  const position = graph.data.positions ? `${graph.position[edge]!}:` : "";
  return `${position}${sourceName(graph, edge)}->${destinationOf(graph, edge).name}`;
}

export function createNames(graph: Graph): Names {
  const spots = new Map<string, number>();
  for (let spot = 0; spot < graph.nSpots; spot++) spots.set(spotName(graph, spot), spot);
  // A thousand switches may be read in every frame, and each is a look through all edges.
  const known = new Map<string, Uint32Array>();
  const all = Uint32Array.from({ length: graph.nEdges }, (_, edge) => edge);
  const find = (name: string): Uint32Array => {
    const spot = spots.get(name);
    if (spot !== undefined) {
      return all.filter((edge) => graph.from[edge] === spot || graph.to[edge] === spot);
    }
    const from = spots.get(name.slice(0, Math.max(0, name.indexOf("->"))));
    return all.filter((edge) => graph.from[edge] === from && edgeName(graph, edge) === name);
  };
  const edgesOf = (name: string): Uint32Array => {
    const found = known.get(name) ?? find(name);
    known.set(name, found);
    return found;
  };
  return {
    spot: (name) => spots.get(name) ?? null,
    edge: (name) => (name.includes("->") ? (edgesOf(name)[0] ?? null) : null),
    edgesOf,
  };
}

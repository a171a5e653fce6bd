/** The traits of the Python `CircuitView`. */

import type { AnyModel } from "@anywidget/types";

export type Kind = "start" | "shared" | "head" | "attention" | "mlp" | "end";

export type Port = "" | "Q" | "K" | "V";

/** A box of the picture: the source and the destinations of a head are one box. */
export interface BoxData {
  name: string;
  kind: Kind;
  block: number;
  head: number | null;
  layer: number;
}

/** Where edges end. */
export interface DestinationData {
  name: string;
  box: number;
  port: Port;
  /** The sources that it helps to compute: `[first, first that it does not]`. */
  feeds: [number, number];
}

/** The destinations that share one tensor of scores, `[positions, rows, sources]`. */
export interface ModuleData {
  first: number;
  rows: number;
  sources: number;
  /** Whether attention carries what they read to other positions. */
  moves: boolean;
}

/** The structure; the flat vector of all edges goes through the modules in their order. */
export interface GraphData {
  boxes: BoxData[];
  /** The box of each source, in writing order. */
  sources: number[];
  destinations: DestinationData[];
  modules: ModuleData[];
  /** A label for each token position, where each has its own edges. */
  positions: string[] | null;
  /** The positions whose logits count: `[first, first that does not]`. */
  outputs: [number, number];
  causal: boolean;
  /** The edges of the known circuit, by their places in the flat vector. */
  official: number[] | null;
}

// A type, not an interface: only a type has the index signature that AnyModel asks for.
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions
export type CircuitTraits = {
  graph: GraphData;
  /** Why there is no picture; empty where there is one. */
  no_picture: string;
  /** A 32-bit float for every edge; empty where there are no scores yet. */
  scores: DataView | null;
  /** Edges in the circuit as the training counts them. */
  training_edges: number | null;
  auroc: number | null;
  /** Edges in the picture as a person chose; null: the view chooses. */
  n_edges: number | null;
  only_paths: boolean;
  compare: boolean;
  search: string;
  pinned: string;
};

export type CircuitModel = AnyModel<CircuitTraits>;

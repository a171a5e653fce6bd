// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

export type Kind = "start" | "shared" | "head" | "attention" | "mlp" | "end";

/** A box of the picture. The source and the destinations of a head are one box. */
export type BoxData = {
  name: string;
  /**
   * `shared`: a key and value head that serves several heads, a box of its own. `attention`:
   * the output of all heads of a block, where that is one source.
   */
  kind: Kind;
  /** That of the first and of the last block for `Resid Start` and `Resid End`. */
  block: number;
  head: number | null;
  /** As in the graph: an MLP that reads what its block's heads write is a layer above them. */
  layer: number;
};

export type Port = "" | "Q" | "K" | "V";

/** Where edges end. */
export type DestinationData = {
  name: string;
  box: number;
  port: Port;
  /** The sources that it helps to compute. */
  feeds: [number, number];
};

/** The destinations that share one tensor of scores, `[positions, rows, sources]`. */
export type ModuleData = {
  /** Its first destination. */
  first: number;
  rows: number;
  sources: number;
  /** Whether attention carries what they read to other positions. */
  moves: boolean;
};

/** The structure. The flat vector of all edges goes through the modules in their order. */
export type GraphData = {
  boxes: BoxData[];
  /** The box of each source, in writing order. */
  sources: number[];
  destinations: DestinationData[];
  modules: ModuleData[];
  /** A label for each token position, where each has its own edges. */
  positions: string[] | null;
  /** The positions whose logits count. */
  outputs: [number, number];
  causal: boolean;
  /** The edges of the known circuit, by their places in the flat vector. */
  official: number[] | null;
};

/** The traits of the Python `CircuitView`. */
export type CircuitTraits = {
  /** Empty where there is no picture. */
  graph: GraphData;
  /** Why there is none. */
  no_picture: string;
  /**
   * A 32-bit float for every edge in flat order; empty: there are none yet. A notebook that was
   * saved without them has nothing here.
   */
  scores: DataView | null;
  /**
   * A 32-bit float from 0 to 1 for every edge in flat order: the share of runs that it is in,
   * which the colours then show instead of the score. Empty: they show the score.
   */
  frequencies: DataView | null;
  /** Edges in the circuit as the training counts them; the picture follows it. */
  training_edges: number | null;
  /** How well the scores find the known circuit. */
  auroc: number | null;
  /**
   * Edges in the picture, as a person or code chose; `None`: as many as `training_edges`, or
   * as the known circuit has, or 50.
   */
  n_edges: number | null;
  /** Leave out what lies on no path from the input to the output, instead of fading it. */
  only_paths: boolean;
  /** Show hits, misses and extras, where a known circuit is given. */
  compare: boolean;
  search: string;
  /** The node whose edges stay in view, such as `A9.6`, `A9.6.Q` or `3:A9.6` (at position 3). */
  pinned: string;
};

/** The traits of a new widget, but for those that it is given. */
export const CIRCUIT_DEFAULTS: Partial<CircuitTraits> = {
  no_picture: "",
  scores: null,
  frequencies: null,
  training_edges: null,
  auroc: null,
  n_edges: null,
  only_paths: false,
  compare: true,
  search: "",
  pinned: "",
};

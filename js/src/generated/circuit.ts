// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

export type Kind = "start" | "shared" | "head" | "attention" | "mid" | "mlp" | "post" | "end";

/** A box of the picture. The source and the destinations of a head are one box. */
export type BoxData = {
  name: string;
  /**
   * `shared`: a key and value head that serves several heads, a box of its own. `attention`:
   * the output of all heads of a block, where that is one source. `mid`, `post`: the residual
   * stream behind attention and behind the block, where streams are nodes.
   */
  kind: Kind;
  /** That of the first and of the last block for `Resid Start` and `Resid End`. */
  block: number;
  head: number | null;
  /** As in the graph: an MLP that reads what its block's heads write is a layer above them. */
  layer: number;
};

export type Port = "" | "Q" | "K" | "V";

/** Sources that a destination helps to compute. */
export type FeedData = {
  sources: [number, number];
  /** Whether attention carries what the destination reads to other positions. */
  moves: boolean;
};

/** Where edges end. */
export type DestinationData = {
  name: string;
  box: number;
  port: Port;
  feeds: FeedData[];
};

/** The destinations that share one tensor of scores, `[positions, rows, sources]`. */
export type ModuleData = {
  /** Its first destination. */
  first: number;
  rows: number;
  /** The sources that they read. */
  sources: [number, number];
};

/** The structure. The flat vector of all edges goes through the modules in their order. */
export type GraphData = {
  boxes: BoxData[];
  /** The box of each source, in writing order. */
  sources: number[];
  /** The sources that are computed from the prompt without passing a destination. */
  inputs: [number, number];
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

/** What was measured last. */
export type MeasuredData = {
  /** Of which circuit: its size by the slider, and the switches, between spaces. */
  key: string;
  metric: string;
  /** What the circuit in view loses; `None`: not measured yet. */
  circuit: number | null;
  /** What that of the slider loses, without the switches. */
  unedited: number | null;
  /** The edge that was asked for; empty: none. */
  edge: string;
  /** What the circuit loses with that edge switched as well. */
  other: number | null;
  /** Why nothing is measured; empty: it is, or will be. */
  note: string;
};

/** A group as the browser has it. */
export type GroupData = {
  name: string;
  /** By their names: `A9.6` also where each token position has its own. */
  nodes: string[];
  note: string;
};

/** A circuit that is kept under a name. */
export type KeptData = {
  name: string;
  /** `None`: these are scores, from which circuits of all sizes are cut. */
  edges: number | null;
};

/** The traits of the Python `CircuitView`. */
export type CircuitTraits = {
  graph: GraphData;
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
  /**
   * With which of `comparable` the circuit is compared: what both have, and what one of them
   * has. Empty: with none.
   */
  compare: string;
  /** The known circuit, those in `circuits`, and finished runs, by name. */
  comparable: string[];
  /** Scores of the circuit that is compared with, as in `scores`; empty: it is the known one. */
  other: DataView | null;
  /** Edges of that circuit; `None`: as many as the picture has. */
  other_size: number | null;
  search: string;
  /**
   * What stays in view: a node such as `A9.6`, `A9.6.Q` or `3:A9.6` (at position 3), or an edge
   * such as `A9.6->Resid End`.
   */
  pinned: string;
  /**
   * What is switched by hand, in order: `-A9.6`, off, `+A9.6->Resid End`, on, or `=A9.6`, as the
   * scores have it.
   */
  switches: string[];
  /** Switches that were taken back; the last of them is made again first. */
  undone: string[];
  /** The edge of which a person wants to know what switching it alone does. */
  asked: string;
  measured: MeasuredData;
  /** Nodes that a person gathered under a name; `node_groups` in code. */
  groups: GroupData[];
  /** The circuits in `circuits`. */
  kept: KeptData[];
};

/** The traits of a new widget, but for those that it is given. */
export const CIRCUIT_DEFAULTS: Partial<CircuitTraits> = {
  scores: null,
  frequencies: null,
  training_edges: null,
  auroc: null,
  n_edges: null,
  only_paths: true,
  compare: "",
  comparable: [],
  other: null,
  other_size: null,
  search: "",
  pinned: "",
  switches: [],
  undone: [],
  asked: "",
  measured: { "key": "", "metric": "", "circuit": null, "unedited": null, "edge": "", "other": null, "note": "No prompts to measure on: give CircuitView a dataloader." },
  groups: [],
  kept: [],
};

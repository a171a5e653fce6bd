// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

/** One prompt of the list. */
export type PromptData = {
  place: number;
  /** `None`: not measured yet. */
  loss: number | null;
  text: string;
  answers: string[];
};

/** One position of the pair in view; "" where a prompt has padding. */
export type TokenData = {
  clean: string;
  corrupt: string;
  differs: boolean;
};

/** A token that may come next. */
export type PredictionData = {
  text: string;
  probability: number;
  is_answer: boolean;
};

/** The pair in view and what comes next. */
export type StripData = {
  tokens: TokenData[];
  whole_model: PredictionData[];
  circuit: PredictionData[];
  corrupt_run: PredictionData[];
  kl_div: number;
  n_edges: number;
  /** Edges that the circuit has or lacks because they were switched by hand. */
  n_switched: number;
};

export type NodeKind = "head" | "attention" | "mlp";

/** A token that a node raises or lowers. */
export type WrittenData = {
  text: string;
  logit: number;
};

/** A node in one run. */
export type NodeRunData = {
  /** The keys of its pattern, and the last of them the queries. */
  tokens: string[];
  up: WrittenData[];
  down: WrittenData[];
};

/** An edge of the circuit at the node in view. */
export type EdgeData = {
  name: string;
  score: number;
  rank: number;
};

/** The node in view. */
export type NodeData = {
  name: string;
  kind: NodeKind;
  /** Edges of the circuit. */
  n_edges: number;
  /** Those that it has or lacks because they were switched by hand. */
  n_switched: number;
  /** Tokens before those of the patterns. */
  n_left_out: number;
  whole_model: NodeRunData;
  circuit: NodeRunData;
  edges_in: EdgeData[];
  edges_out: EdgeData[];
  n_in: number;
  n_out: number;
  note: string;
};

/** The traits of the Python `PromptsView`. */
export type PromptsTraits = {
  /** The worst first, where they are measured. */
  prompts: PromptData[];
  /** What the list is sorted by; empty: not measured yet. */
  loss: string;
  /** Which prompts are in the list, and with which circuit they were measured. */
  list_note: string;
  /** Plain lines on the worst prompts. */
  in_common: string[];
  /** The place of the prompt in view; -1: the pair that was typed. */
  chosen: number;
  /** The clean and the corrupt text that were typed. */
  typed: string[];
  /** Why what was typed is refused; empty: it is not. */
  typed_problem: string;
  /** `clean` or `corrupt`: which text the problem is about. */
  typed_field: string;
  /** `None`: there is nothing to show yet. */
  strip: StripData | null;
  /** The heads and MLPs of the model. */
  nodes: string[];
  /** The node in view; empty: none. */
  node: string;
  node_data: NodeData | null;
  /**
   * 32-bit floats `[queries, keys]`: how much each query of the node attends to each key in the
   * whole model; empty: it is no head.
   */
  whole_pattern: DataView | null;
  /** The same inside the circuit. */
  circuit_pattern: DataView | null;
  /** What is going on, or what there is to do. */
  note: string;
};

// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

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

/** What a circuit predicts. */
export type RecordedCircuit = {
  n_edges: number;
  /** Edges that it has or lacks because they were switched by hand. */
  n_switched: number;
  predictions: PredictionData[];
  kl_div: number;
};

/** A prompt, and what comes next in circuits of several sizes. */
export type RecordedPrompt = {
  place: number;
  /** `None`: not measured yet. */
  loss: number | null;
  text: string;
  answers: string[];
  tokens: TokenData[];
  /** Tokens before those. */
  n_left_out: number;
  whole_model: PredictionData[];
  corrupt_run: PredictionData[];
  /** As they are cut from the scores, the smallest first. */
  circuits: RecordedCircuit[];
  /** That of the picture, where edges are switched by hand in it. */
  edited: RecordedCircuit | null;
};

/** Prompts as the page shows them. */
export type RecordedPrompts = {
  /** The worst first. */
  prompts: RecordedPrompt[];
  /** What they are sorted by. */
  loss: string;
  /** Among how many prompts these are the worst, and for which circuit. */
  list_note: string;
  /** Plain lines on the worst of all that were measured. */
  in_common: string[];
  /** Of the circuit of the picture, before its switches. */
  n_edges: number;
  /** What is switched by hand in the edited circuits. */
  switches: string[];
  /** Why nothing is recorded; empty: something is. */
  note: string;
};

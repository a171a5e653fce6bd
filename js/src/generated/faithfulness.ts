// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

/** The curve of one run. */
export type CurveData = {
  name: string;
  /** In which direction and with which ablation it was measured. */
  protocol: string;
  circuit: ([number, number])[];
  complement: ([number, number])[];
  random: ([number, number, number])[];
};

/** The traits of the Python `FaithfulnessView`. */
export type FaithfulnessTraits = {
  /** Of the present run first, where that was measured. */
  curves: CurveData[];
  /** What stands beside the axis. */
  metric: string;
  /** Edges of the model. */
  most: number;
  /** The size that is marked, as a person or code chose; `None`: `training_edges`. */
  n_edges: number | null;
  /**
   * Edges in the circuit as the training counts them; in the browser it is linked to that of the
   * circuit view, which sends it back.
   */
  training_edges: number | null;
  /** What is going on, or what there is to do. */
  note: string;
  /** Whether the present scores can be measured; `never`: there is no button. */
  measure: "never" | "later" | "now";
};

/** The traits of a new widget, but for those that it is given. */
export const FAITHFULNESS_DEFAULTS: Partial<FaithfulnessTraits> = {
  curves: [],
  metric: "",
  most: 0,
  n_edges: null,
  training_edges: null,
  note: "",
  measure: "never",
};

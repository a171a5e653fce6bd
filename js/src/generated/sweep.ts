// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

/** A point as the table shows it. */
export type SweepRow = {
  /** Of the run's folder. */
  name: string;
  fields: string[];
  state: string;
  /** From 0 to 1. */
  progress: number;
  edges: number | null;
  /** What the circuit of so many edges loses. */
  value: number | null;
  seconds: number;
  seconds_left: number | null;
  error: string;
  /** Whether it lies on the Pareto front. */
  front: boolean;
};

/** The traits of the Python `SweepTable`. */
export type SweepTraits = {
  /** What the points differ in: the first columns. */
  fields: string[];
  /** What the circuits lose is measured as. */
  metric: string;
  rows: SweepRow[];
  /** How many points are in which state. */
  summary: string;
  /** The run that a person chose, by the name of its folder. */
  chosen: string;
  /** What there is to say of it: where it lies, or why it failed. */
  detail: string;
};

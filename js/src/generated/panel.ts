// Written by tools/generate_types.py. Change the Python, and run it again.
/* eslint-disable @typescript-eslint/consistent-type-definitions */

export type State = "idle" | "preparing" | "running" | "paused" | "stopping" | "done" | "stopped" | "failed";

/** What the status line and the progress bar show. */
export type Status = {
  state: State;
  /** Steps done. */
  step: number;
  /** Steps of the whole run. */
  n_steps: number;
  /** Epoch of the last step, counted from 1; 0 before the first. */
  epoch: number;
  epochs: number;
  loss: number | null;
  /** Edges in the hard circuit after the last step. */
  edges: number | null;
  n_edges: number;
  seconds_left: number | null;
  /** How many threads the operations of the run use; `None` before that is known. */
  threads: number | null;
  /** A sentence below the status line; in state `failed`, the error. */
  message: string;
  /** From 0 to 1; of the preparation in state `preparing`, otherwise of the training. */
  progress: number;
  /** The progress in words; empty: a percentage is shown. */
  progress_label: string;
};

/** One thing that is off. */
export type Diagnosis = {
  problem: string;
  /** What to do. */
  remedy: string;
};

export type Kind = "number" | "integer" | "numbers" | "select" | "checkbox" | "code";

/** One choice of a select field. */
export type Option = {
  value: string;
  label: string;
};

export type Group = "main" | "more";

/** One setting as the panel shows it. */
export type Field = {
  /** The field's name in the config. */
  name: string;
  label: string;
  kind: Kind;
  /** The value in the config that the form was made from. */
  value: string | boolean;
  /** The choices of a select field, otherwise empty. */
  options: Option[];
  /** Whether the field may be left empty. */
  optional: boolean;
  /** What an empty field stands for. */
  placeholder: string;
  help: string;
  /** The heading of docs/method.md that says more. */
  section: string;
  min: number | null;
  max: number | null;
  /** What an arrow key adds or takes away; 0: it goes through 1, 2, 5, 10, 20 ... */
  step: number;
  /** Whether a change takes effect while the training runs, from the next step. */
  live: boolean;
  /** `more`: under the heading "More settings". */
  group: Group;
  /** Why the field cannot be used at all; empty: it can. */
  unavailable: string;
};

/** One choice of the field "Method". */
export type MethodOption = {
  value: string;
  label: string;
  /** In one line, what it is for. */
  summary: string;
};

/** What the panel says of a training before it starts. */
export type Outlook = {
  text: string;
  /** Why it may fail; empty: it should not. */
  warning: string;
};

/** What the panel shows of the hard circuit on the validation data. */
export type HeldOut = {
  /** The last evaluation in words; where there is no validation data, that. */
  last: string;
  last_step: number | null;
  /** The best one in words; empty: there is none. */
  best: string;
  best_step: number | null;
  can_evaluate: boolean;
  can_restore: boolean;
};

/** A finished run as the panel shows it. */
export type RunData = {
  number: number;
  name: string;
  result: string;
  /** To the run before it, in words: `since Run 1: Lambda 10 → 3`; empty for the first. */
  differences: string;
  shown: boolean;
};

export type Command = "start" | "pause" | "resume" | "stop" | "step" | "reset" | "overwrite" | "keep" | "evaluate" | "restore_best" | "estimate";

/** The traits of the Python `ControlPanel`. */
export type PanelTraits = {
  status: Status;
  /** What is off about the run, with what to do; empty: nothing. */
  diagnosis: Diagnosis[];
  /** The settings of the method, in display order. */
  fields: Field[];
  /** Field name to what the field holds: text as typed, or the state of a checkbox. */
  values: Record<string, string | boolean>;
  /** Field name to what is wrong with its value. */
  problems: Record<string, string>;
  methods: MethodOption[];
  /** The name of the method that was chosen. */
  method: string;
  presets: Option[];
  /** The preset that the fields follow, or `custom`. */
  preset: string;
  outlook: Outlook;
  held_out: HeldOut;
  /** The finished runs, oldest first. */
  runs: RunData[];
  /** How the settings differ from the last finished run; empty: there is none. */
  since_last_run: string;
  /** The Python that repeats the run. */
  code: string;
  /** The name that the scores are saved under. */
  save_as: string;
  /** What is wrong with `save_as`; empty: nothing. */
  save_as_problem: string;
  /** A question answered by the commands `overwrite` and `keep`; empty: nothing is asked. */
  overwrite_prompt: string;
  /** A note on when clicks take effect; empty: at once. */
  responsive: string;
};

export const ACTIVE: readonly State[] = ["preparing", "running", "paused", "stopping"];

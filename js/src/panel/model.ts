/** The traits of the Python `ControlPanel`, and the commands that it understands. */

import type { AnyModel } from "@anywidget/types";

export type State =
  "idle" | "preparing" | "running" | "paused" | "stopping" | "done" | "stopped" | "failed";

export type Command =
  | "start"
  | "pause"
  | "resume"
  | "stop"
  | "step"
  | "reset"
  | "overwrite"
  | "keep"
  | "evaluate"
  | "restore_best"
  | "estimate";

export interface Status {
  state: State;
  step: number;
  n_steps: number;
  /** Counted from 1; 0 before the first step. */
  epoch: number;
  epochs: number;
  loss: number | null;
  edges: number | null;
  n_edges: number;
  seconds_left: number | null;
  message: string;
  /** From 0 to 1. */
  progress: number;
  progress_label: string;
}

export interface Option {
  value: string;
  label: string;
}

/** One choice of the field "Method". */
export interface MethodOption extends Option {
  /** In one line, what it is for. */
  summary: string;
}

/** What a field holds: text as typed, or the state of a checkbox. */
export type Value = string | number | boolean | null;

export interface FieldSpec {
  name: string;
  label: string;
  kind: "number" | "integer" | "numbers" | "text" | "select" | "checkbox";
  value: Value;
  options?: Option[];
  optional?: boolean;
  placeholder?: string;
  help: string;
  /** The heading of docs/method.md under which more is said. */
  section?: string;
  min?: number | null;
  max?: number | null;
  /** What an arrow key adds; 0: it goes through 1, 2, 5, 10, 20 ... */
  step?: number;
  /** Why the field cannot be used at all; empty: it can. */
  unavailable?: string;
  /** Whether it may be changed while training. */
  live: boolean;
  group?: "main" | "more";
}

export interface HeldOut {
  last: string;
  last_step: number | null;
  best: string;
  best_step: number | null;
  can_evaluate: boolean;
  can_restore: boolean;
}

/** What a training will take. */
export interface Outlook {
  text: string;
  warning: string;
}

export interface RunData {
  number: number;
  name: string;
  result: string;
  /** To the run before, in words. */
  differences: string;
  shown: boolean;
}

export type RunEdit = { name: string } | { shown: boolean } | { delete: true };

// A type, not an interface: only a type has the index signature that AnyModel asks for.
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions
export type PanelTraits = {
  status: Status;
  fields: FieldSpec[];
  values: Record<string, Value>;
  problems: Record<string, string>;
  methods: MethodOption[];
  /** The name of the one that was chosen. */
  method: string;
  presets: Option[];
  /** The preset that the fields follow, or "custom". */
  preset: string;
  outlook: Outlook;
  held_out: HeldOut;
  runs: RunData[];
  since_last_run: string;
  code: string;
  save_as: string;
  save_as_problem: string;
  overwrite_prompt: string;
  responsive: string;
};

export type PanelModel = AnyModel<PanelTraits>;

/** Asks Python to do something; what came of it shows in the traits. */
export function sendCommand(model: PanelModel, command: Command): void {
  model.send({ type: "command", command });
}

/** Asks Python to show the fields of another method. */
export function sendMethod(model: PanelModel, method: string): void {
  model.send({ type: "method", method });
}

/** Asks Python to fill in the fields of a preset. */
export function sendPreset(model: PanelModel, preset: string): void {
  model.send({ type: "preset", preset });
}

/** Asks Python to change a finished run. */
export function sendRunEdit(model: PanelModel, number: number, change: RunEdit): void {
  model.send({ type: "run", number, ...change });
}

/** Whether a run is under way, so that its parameters are fixed. */
export function isUnderWay(state: State): boolean {
  return state === "preparing" || state === "running" || state === "paused" || state === "stopping";
}

/** The traits of the Python `ControlPanel`, and the commands that it understands. */

import type { AnyModel } from "@anywidget/types";

export type State =
  "idle" | "preparing" | "running" | "paused" | "stopping" | "done" | "stopped" | "failed";

export type Command =
  "start" | "pause" | "resume" | "stop" | "step" | "reset" | "overwrite" | "keep";

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

/** What a field holds: text as typed, or the state of a checkbox. */
export type Value = string | number | boolean | null;

export interface FieldSpec {
  name: string;
  label: string;
  kind: "number" | "integer" | "text" | "select" | "checkbox";
  value: Value;
  options?: Option[];
  optional?: boolean;
  placeholder?: string;
  help: string;
  /** Whether it may be changed while training. */
  live: boolean;
  group?: "main" | "more";
}

// A type, not an interface: only a type has the index signature that AnyModel asks for.
// eslint-disable-next-line @typescript-eslint/consistent-type-definitions
export type PanelTraits = {
  status: Status;
  fields: FieldSpec[];
  values: Record<string, Value>;
  problems: Record<string, string>;
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

/** Whether a run is under way, so that its parameters are fixed. */
export function isUnderWay(state: State): boolean {
  return state === "preparing" || state === "running" || state === "paused" || state === "stopping";
}

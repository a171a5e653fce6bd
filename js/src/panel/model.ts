/** The traits of the Python `ControlPanel`, and the commands that it understands. */

import type { AnyModel } from "@anywidget/types";

import { ACTIVE, type Command, type Field, type PanelTraits, type State } from "../generated/panel";

export type * from "../generated/panel";

/** What a field holds: text as typed, or the state of a checkbox. */
export type Value = string | boolean;

type Stated = "name" | "label" | "value" | "help" | "live";

/** What is drawn as a field: a parameter, or a name that is typed, of which there is less to say. */
export type FieldSpec = Pick<Field, Stated> &
  Partial<Omit<Field, Stated | "kind">> & { kind: Field["kind"] | "text" };

/** What a person changes of a finished run. */
export type RunEdit = { name: string } | { shown: boolean } | { delete: true };

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

/** Asks Python to save everything into a folder. */
export function sendSave(model: PanelModel, folder: string): void {
  model.send({ type: "save", folder });
}

/** Whether a run is under way, so that its parameters are fixed. */
export function isUnderWay(state: State): boolean {
  return ACTIVE.includes(state);
}

import type { RenderProps } from "@anywidget/types";

import panel from "../../src/panel/index";
import type { Field, PanelTraits, Status } from "../../src/panel/model";
import { FakeModel } from "../fake-model";

/** What the addresses of blobs lead to, which jsdom has not. */
export const blobs = new Map<string, Blob>();
let addresses = 0;
Object.assign(URL, {
  createObjectURL: (blob: Blob) => {
    const address = `blob:http://localhost/${addresses++}`;
    blobs.set(address, blob);
    return address;
  },
  revokeObjectURL: (address: string) => blobs.delete(address),
});

const FIELD: Field = {
  name: "",
  label: "",
  kind: "number",
  value: "",
  options: [],
  optional: false,
  placeholder: "",
  help: "",
  // A field of which the documentation says no more.
  section: "",
  min: null,
  max: null,
  step: 1,
  live: false,
  group: "main",
  unavailable: "",
};

export const FIELDS: Field[] = [
  { ...FIELD, name: "learning_rate", label: "Learning rate", value: "0.1", live: true },
  { ...FIELD, name: "epochs", label: "Epochs", kind: "integer", value: "20" },
  {
    ...FIELD,
    name: "regularize_lambda",
    label: "Lambda",
    value: "10",
    live: true,
    help: "Weight of the regularizer.",
  },
  {
    ...FIELD,
    name: "circuit_size",
    label: "Circuit size",
    kind: "integer",
    optional: true,
    placeholder: "as few as possible",
  },
  {
    ...FIELD,
    name: "mask_fn",
    label: "Mask function",
    kind: "select",
    value: "hard_concrete",
    options: [
      { value: "hard_concrete", label: "Hard concrete" },
      { value: "sigmoid", label: "Sigmoid" },
      { value: "none", label: "None" },
    ],
    group: "more",
  },
  {
    ...FIELD,
    name: "tree_optimisation",
    label: "Tree optimisation",
    kind: "checkbox",
    value: false,
    group: "more",
  },
];

export const METHODS = [
  { value: "subnetwork_probing", label: "Subnetwork probing", summary: "Trains a mask." },
  { value: "acdc", label: "ACDC", summary: "Removes edge after edge." },
];

export const PRESETS = [
  { value: "reference", label: "Reference" },
  { value: "ioi", label: "IOI" },
];

export const IDLE: Status = {
  state: "idle",
  step: 0,
  n_steps: 400,
  epoch: 0,
  epochs: 20,
  loss: null,
  edges: null,
  n_edges: 32491,
  seconds_left: null,
  threads: null,
  message: "",
  progress: 0,
  progress_label: "",
};

export const RUNNING: Status = {
  ...IDLE,
  state: "running",
  step: 123,
  epoch: 7,
  loss: 1.23456,
  edges: 1234,
  seconds_left: 80,
  threads: 2,
  progress: 0.3075,
};

export interface View {
  model: FakeModel<PanelTraits>;
  el: HTMLElement;
  close: () => void;
  button: (name: string) => HTMLButtonElement;
  control: (label: string) => HTMLInputElement;
  select: (label: string) => HTMLSelectElement;
  role: (role: string) => HTMLElement;
}

/** Renders the panel into the page as anywidget does. */
export function openPanel(traits: Partial<PanelTraits> = {}): View {
  const model = new FakeModel<PanelTraits>({
    status: IDLE,
    fields: FIELDS,
    values: Object.fromEntries(FIELDS.map(({ name, value }) => [name, value])),
    problems: {},
    methods: METHODS,
    method: "subnetwork_probing",
    presets: PRESETS,
    preset: "reference",
    outlook: { text: "32,491 edges, 400 steps.", warning: "" },
    diagnosis: [],
    held_out: {
      last: "not measured yet",
      last_step: null,
      best: "",
      best_step: null,
      can_evaluate: false,
      can_restore: false,
    },
    runs: [],
    since_last_run: "",
    code: "import sp_widget as sp\n",
    save_as: "prune_scores",
    save_as_problem: "",
    overwrite_prompt: "",
    responsive: "",
    ...traits,
  });
  return openView(model);
}

/** A view of a model, which may have others. */
export function openView(model: FakeModel<PanelTraits>): View {
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  const props: Pick<RenderProps<PanelTraits>, "model" | "el" | "signal"> = {
    model,
    el,
    signal: controller.signal,
  };
  panel.render(props as RenderProps<PanelTraits>);

  const byLabel = (text: string): HTMLElement => {
    const label = [...el.querySelectorAll("label")].find((node) => node.textContent === text);
    return found(el.querySelector<HTMLElement>(`#${found(label, text).htmlFor}`), text);
  };
  return {
    model,
    el,
    close: () => {
      controller.abort();
    },
    button: (name) =>
      found(
        [...el.querySelectorAll("button")].find((node) => node.textContent === name),
        name,
      ),
    control: (label) => byLabel(label) as HTMLInputElement,
    select: (label) => byLabel(label) as HTMLSelectElement,
    role: (role) => found(el.querySelector<HTMLElement>(`[role="${role}"]`), role),
  };
}

/** What a person does to a text field, key by key left out. */
export function type(input: HTMLInputElement, text: string): void {
  input.focus();
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/** What the browser does when a changed field is left. */
export function leave(input: HTMLInputElement): void {
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.blur();
}

export function press(element: HTMLElement, key: string): void {
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}

/** The texts that describe a control to a screen reader. */
export function description(view: View, control: HTMLElement): string[] {
  const ids = (control.getAttribute("aria-describedby") ?? "").split(" ");
  return ids.map((id) => view.el.querySelector(`#${id}`)?.textContent ?? "").filter(Boolean);
}

function found<T>(value: T | null | undefined, name: string): T {
  if (value === null || value === undefined) throw new Error(`Nothing in the panel is "${name}".`);
  return value;
}

import type { InitializeProps, RenderProps } from "@anywidget/types";

import chart from "../../src/chart/index";
import type { ChartModel, ChartTraits, TraceData, TraceSpec } from "../../src/chart/model";
import { FakeModel } from "../fake-model";

/** Packs points as Python does: all x and then all y. */
export function packed(points: [number, number][]): DataView {
  const both = Float32Array.from([...points.map(([x]) => x), ...points.map(([, y]) => y)]);
  return new DataView(both.buffer);
}

export function data(points: [number, number][], means: [number, number][] = []): TraceData {
  const values = points.map(([, y]) => y);
  return {
    points: packed(points),
    means: packed(means),
    last: values.at(-1) ?? null,
    lowest: values.length > 0 ? Math.min(...values) : null,
  };
}

const SPEC: TraceSpec = {
  label: "Loss",
  run: "",
  axis: "left",
  colour: "#2a7fd4",
  line_style: "solid",
  stroke_width: 2,
  stepped: false,
  marker: false,
  smooths: true,
  marks: ["IPY_MODEL_loss", "IPY_MODEL_loss_smooth"],
};

export const LOSS = SPEC;
export const EDGES: TraceSpec = {
  ...SPEC,
  label: "Edges",
  axis: "right",
  stepped: true,
  smooths: false,
  marks: ["IPY_MODEL_edges"],
};
export const HARD: TraceSpec = {
  ...SPEC,
  label: "Hard circuit",
  marker: true,
  smooths: false,
  marks: ["IPY_MODEL_hard"],
};
export const OLD_LOSS: TraceSpec = {
  ...SPEC,
  run: "run 1",
  marks: ["IPY_MODEL_old", "IPY_MODEL_old_smooth"],
};

/** A run of 100 steps whose loss is 100 / step and whose edges are 200 - step. */
export const STEPS = Array.from({ length: 100 }, (_, index) => index + 1);

export const TRAITS: ChartTraits = {
  parts: {
    steps: "IPY_MODEL_steps",
    left: "IPY_MODEL_left",
    right: "IPY_MODEL_right",
    steps_axis: "IPY_MODEL_steps_axis",
    left_axis: "IPY_MODEL_left_axis",
    right_axis: "IPY_MODEL_right_axis",
  },
  axis_labels: { steps: "Step", left: "Loss and its terms", right: "Edges in the circuit" },
  margins: { top: 10, bottom: 46, left: 64, right: 68 },
  traces: [LOSS, EDGES],
  live: [
    data(STEPS.map((step) => [step, 100 / step])),
    data(STEPS.map((step) => [step, 200 - step])),
  ],
  still: [],
  summary: "Chart of the training after 100 steps.",
  table: {
    columns: ["Loss", "Edges"],
    rows: [
      [1, 100, 199],
      [100, 1, null],
    ],
  },
  log_axes: [],
  smoothing: 0,
  window: null,
  hidden: [],
  quantities: ["Hard circuit", "Loss", "Edges"],
  quantity: "Loss",
};

/** The models of bqplot in the page: what was put into each, and how often. */
export class Bqplot {
  readonly states = new Map<string, Record<string, unknown>>();
  readonly updates = new Map<string, number>();

  get_model(id: string): Promise<unknown> {
    return Promise.resolve({
      set_state: (state: Record<string, unknown>) => {
        this.states.set(id, { ...this.states.get(id), ...state });
        this.updates.set(id, (this.updates.get(id) ?? 0) + 1);
      },
    });
  }

  line(id: string): { x: number[]; y: number[] } {
    const { x, y } = this.states.get(id) as { x: Float32Array; y: Float32Array };
    return { x: [...x], y: [...y] };
  }

  number(id: string, key: string): number {
    return this.states.get(id)?.[key] as number;
  }
}

class ChartFake extends FakeModel<ChartTraits> {
  readonly bqplot = new Bqplot();

  override get widget_manager(): never {
    return this.bqplot as never;
  }
}

export interface View {
  model: ChartFake;
  bqplot: Bqplot;
  el: HTMLElement;
  close: () => void;
  control: (label: string) => HTMLInputElement;
  button: (name: string) => HTMLButtonElement;
  /** The cells of the legend: name, last, lowest, at the step read. */
  legend: () => string[][];
}

/** A chart in the page, drawn. */
export async function openChart(traits: Partial<ChartTraits> = {}): Promise<View> {
  const model = new ChartFake({ ...TRAITS, ...traits });
  const controller = new AbortController();
  const props: Pick<InitializeProps<ChartTraits>, "model" | "signal"> = {
    model,
    signal: controller.signal,
  };
  chart.initialize(props as InitializeProps<ChartTraits>);
  const view = openView(model, controller);
  await drawn();
  return view;
}

/** A view of a model, which may have others. */
export function openView(model: ChartFake, controller = new AbortController()): View {
  const el = document.createElement("div");
  document.body.append(el);
  const props: Pick<RenderProps<ChartTraits>, "model" | "el" | "signal"> = {
    model: model as ChartModel,
    el,
    signal: controller.signal,
  };
  chart.render(props as RenderProps<ChartTraits>);
  return {
    model,
    bqplot: model.bqplot,
    el,
    close: () => {
      controller.abort();
    },
    control: (label) => {
      const found = [...el.querySelectorAll("input")].find((input) => nameOf(input) === label);
      if (!found) throw new Error(`Nothing is called "${label}".`);
      return found;
    },
    button: (name) => {
      const buttons = [...el.querySelectorAll("button")];
      const found = buttons.find(
        (node) => (node.getAttribute("aria-label") ?? node.textContent) === name,
      );
      if (!found) throw new Error(`No button is called "${name}".`);
      return found;
    },
    legend: () =>
      [...el.querySelectorAll(".spx-legend tr")].map((row) =>
        [...row.querySelectorAll("th, td")].map((cell) => cell.textContent),
      ),
  };
}

/** What a screen reader calls a control. */
export function nameOf(input: HTMLInputElement): string {
  return input.getAttribute("aria-label") ?? input.labels?.[0]?.textContent ?? "";
}

/** Until what was changed is drawn. */
export async function drawn(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}

export function check(box: HTMLInputElement, on: boolean): void {
  box.checked = on;
  box.dispatchEvent(new Event("change", { bubbles: true }));
}

export function slide(slider: HTMLInputElement, value: number): void {
  slider.value = String(value);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

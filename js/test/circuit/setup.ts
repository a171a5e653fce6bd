import type { RenderProps } from "@anywidget/types";
import { vi } from "vitest";

import circuit from "../../src/circuit/index";
import type { CircuitTraits, GraphData } from "../../src/circuit/model";
import { FakeModel } from "../fake-model";
import { edgeNamed, plainModel, readGraph } from "./graphs";

/** Two blocks of two heads: the model of most tests. */
export const SMALL = plainModel({ blocks: 2, heads: 2 });

/** A stroke on a canvas: how many lines, and how they are drawn. */
export interface Stroke {
  lines: number;
  dash: number[];
  width: number;
  canvas: string;
}

/** What was drawn since the last look. */
export const strokes: Stroke[] = [];

/** The observers of sizes that watch something. */
export const observers = new Set<ResizeObserver>();

let width = 700;

/** Gives the page what jsdom lacks: sizes, canvases, and time that is moved by hand. */
export function preparePage(): void {
  width = 700;
  strokes.length = 0;
  observers.clear();
  vi.useFakeTimers();
  vi.stubGlobal(
    "ResizeObserver",
    class implements ResizeObserver {
      readonly #changed: ResizeObserverCallback;
      constructor(changed: ResizeObserverCallback) {
        this.#changed = changed;
      }
      observe(): void {
        observers.add(this);
        this.#changed([], this);
      }
      unobserve(): void {
        observers.delete(this);
      }
      disconnect(): void {
        observers.delete(this);
      }
    },
  );
  vi.stubGlobal("matchMedia", () => new EventTarget());
  vi.spyOn(Element.prototype, "clientWidth", "get").mockImplementation(() => width);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(fakeContext as never);
}

export function tidyPage(): void {
  vi.runOnlyPendingTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  document.body.replaceChildren();
}

export function setPageWidth(next: number): void {
  width = next;
}

const contexts = new WeakMap<HTMLCanvasElement, CanvasRenderingContext2D>();

function fakeContext(this: HTMLCanvasElement): CanvasRenderingContext2D {
  const known = contexts.get(this);
  if (known) return known;
  let lines = 0;
  let dash: number[] = [];
  const nothing = (): void => undefined;
  const { className } = this;
  const own: Record<string, unknown> = {
    canvas: this,
    beginPath: () => (lines = 0),
    moveTo: () => (lines += 1),
    setLineDash: (next: number[]) => (dash = next),
    stroke: () => strokes.push({ lines, dash, width: Number(own.lineWidth), canvas: className }),
    measureText: (text: string) => ({ width: 7 * text.length }),
    createImageData: (w: number, h: number) => ({
      width: w,
      height: h,
      data: new Uint8ClampedArray(4 * w * h),
    }),
    getImageData: () => ({ data: Uint8ClampedArray.from([10, 20, 30, 255]) }),
  };
  const context = new Proxy(own, {
    get: (target, name) => (name in target ? target[String(name)] : nothing),
  }) as unknown as CanvasRenderingContext2D;
  contexts.set(this, context);
  return context;
}

/** Lets frames, and what follows when nothing changes, come to pass. */
export function settle(): void {
  vi.advanceTimersByTime(400);
}

/** Scores that put the edges of these names first, in this order, and the others at zero. */
export function scoresOf(data: GraphData, names: string[]): DataView {
  const graph = readGraph(data);
  const scores = new Float32Array(graph.nEdges);
  names.forEach((name, i) => {
    scores[edgeNamed(graph, name)] = names.length - i;
  });
  return new DataView(scores.buffer);
}

export interface View {
  model: FakeModel<CircuitTraits>;
  el: HTMLElement;
  close: () => void;
  /** The button of a node by the beginning of its accessible name. */
  node: (name: string) => HTMLButtonElement;
  /** The visible nodes by their accessible names. */
  nodes: () => string[];
  control: (label: string) => HTMLInputElement;
  text: (selector: string) => string;
}

/** Renders the view into the page as anywidget does. */
export function openCircuit(traits: Partial<CircuitTraits> = {}): View {
  const model = new FakeModel<CircuitTraits>({
    graph: SMALL,
    scores: null,
    frequencies: null,
    training_edges: null,
    auroc: null,
    n_edges: null,
    only_paths: false,
    compare: "",
    comparable: [],
    other: null,
    other_size: null,
    search: "",
    pinned: "",
    switches: [],
    undone: [],
    asked: "",
    measured: {
      key: "",
      metric: "",
      circuit: null,
      unedited: null,
      edge: "",
      other: null,
      note: "",
    },
    kept: [],
    groups: [],
    ...traits,
  });
  return openView(model);
}

/** A view of a model, which may have others. */
export function openView(model: FakeModel<CircuitTraits>): View {
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  const props: Pick<RenderProps<CircuitTraits>, "model" | "el" | "signal"> = {
    model,
    el,
    signal: controller.signal,
  };
  circuit.render(props as RenderProps<CircuitTraits>);
  settle();

  const shown = (): HTMLButtonElement[] =>
    [...el.querySelectorAll<HTMLButtonElement>(".spc-node")].filter(({ hidden }) => !hidden);
  return {
    model,
    el,
    close: () => {
      controller.abort();
    },
    node: (name) =>
      found(
        shown().find((node) => node.getAttribute("aria-label")?.startsWith(`${name},`)),
        name,
      ),
    nodes: () => shown().map((node) => node.getAttribute("aria-label") ?? ""),
    control: (label) => {
      const labels = [...el.querySelectorAll("label")];
      const labelled = labels.find((node) => node.textContent === label);
      const id = labelled?.htmlFor ?? "";
      return found(
        (id ? el.querySelector<HTMLInputElement>(`#${id}`) : labelled?.querySelector("input")) ??
          el.querySelector<HTMLInputElement>(`[aria-label="${label}"]`),
        label,
      );
    },
    text: (selector) => found(el.querySelector(selector), selector).textContent,
  };
}

/** What a person does to a text field or a slider. */
export function enter(input: HTMLInputElement, value: string): void {
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

export function press(element: HTMLElement, key: string): void {
  element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

function found<T>(value: T | null | undefined, name: string): T {
  if (value === null || value === undefined) throw new Error(`Nothing in the view is "${name}".`);
  return value;
}

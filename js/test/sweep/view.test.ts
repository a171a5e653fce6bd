import type { RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { MARGIN, placeOf } from "../../src/faithfulness/scene";
import sweep from "../../src/sweep/index";
import type { SweepRow, SweepTraits } from "../../src/sweep/model";
import { FakeModel } from "../fake-model";

const WIDTH = 600;

const DONE: SweepRow = {
  name: "a",
  fields: ["walk", "0"],
  state: "done",
  progress: 1,
  edges: 20,
  value: 0.5,
  seconds: 3.25,
  seconds_left: null,
  error: "",
  front: true,
};
const SPARSER: SweepRow = { ...DONE, name: "b", fields: ["walk", "1"], edges: 10, value: 0.75 };
const BEATEN: SweepRow = { ...DONE, name: "c", fields: ["walk", "2"], value: 0.9, front: false };
const RUNNING: SweepRow = {
  ...DONE,
  name: "d",
  fields: ["walk", "3"],
  state: "running",
  progress: 0.25,
  value: null,
  seconds_left: 90,
  front: false,
};

beforeEach(() => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe = vi.fn();
      disconnect = vi.fn();
    },
  );
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(WIDTH);
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

function open(traits: Partial<SweepTraits> = {}): {
  model: FakeModel<SweepTraits>;
  el: HTMLElement;
  close: () => void;
} {
  const model = new FakeModel<SweepTraits>({
    fields: ["method", "seed"],
    metric: "KL(model ‖ circuit), nats",
    rows: [DONE, SPARSER, BEATEN, RUNNING],
    summary: "3 done, 1 running",
    chosen: "",
    detail: "",
    ...traits,
  });
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  const props = { model, el, signal: controller.signal, experimental: {} };
  sweep.render(props as unknown as RenderProps<SweepTraits>);
  return {
    model,
    el,
    close: () => {
      controller.abort();
    },
  };
}

const all = <T extends Element>(el: HTMLElement, selector: string): T[] => [
  ...el.querySelectorAll<T>(selector),
];
const texts = (el: HTMLElement, selector: string): (string | null)[] =>
  all(el, selector).map((each) => each.textContent);

describe("the view of a sweep", () => {
  it("has a line for every run, with what its point is and how it stands", () => {
    const { el } = open();
    expect(texts(el, "thead th")).toEqual([
      "Run",
      "method",
      "seed",
      "State",
      "Progress",
      "Edges",
      "Loses",
      "Seconds",
      "Left",
    ]);
    const lines = all<HTMLTableRowElement>(el, "tbody tr");
    const words = lines.map((line) => [...line.cells].map((cell) => cell.textContent));
    expect(words[0]).toEqual(["1", "walk", "0", "done", "", "20", "0.500", "3.3", ""]);
    expect(words[3]).toEqual(["4", "walk", "3", "running", "", "20", "", "3.3", "90 s"]);
    expect(lines[3]?.querySelector("progress")?.value).toBe(0.25);
    expect(el.querySelector("[role=status]")?.textContent).toBe("3 done, 1 running");
  });

  it("draws what was measured, and the front through those that nothing beats", () => {
    const { el } = open();
    const dots = all(el, ".sps-dot");
    expect(dots).toHaveLength(3);
    expect(Number(dots[1]?.getAttribute("cx"))).toBeCloseTo(placeOf(10, 20, WIDTH));
    expect(dots[0]?.querySelector("title")?.textContent).toBe("walk, 0: 20 edges, 0.500");
    const front = el.querySelector(".sps-front")?.getAttribute("points")?.split(" ") ?? [];
    expect(front).toHaveLength(2);
    const heights = front.map((point) => Number(point.split(",")[1]));
    expect(heights[0]).toBeLessThan(heights[1] ?? 0);
    expect(heights[0]).toBeGreaterThan(MARGIN.top);
    expect(el.querySelector("svg")?.getAttribute("aria-label")).toBe(
      "3 circuits. The Pareto front: 10 edges lose 0.750; 20 edges lose 0.500.",
    );
  });

  it("chooses a run by its button, its line or its dot", () => {
    const { el, model } = open();
    const buttons = all<HTMLButtonElement>(el, ".sps-run");
    expect(buttons[1]?.getAttribute("aria-label")).toBe("Run 2: method walk, seed 1");
    buttons[1]?.click();
    expect(model.get("chosen")).toBe("b");
    expect(model.save_changes).toHaveBeenCalledTimes(1);
    expect(buttons.map((button) => button.getAttribute("aria-pressed"))).toEqual([
      "false",
      "true",
      "false",
      "false",
    ]);
    expect(all(el, "circle.sps-chosen")).toHaveLength(1);
    all<HTMLTableRowElement>(el, "tbody tr")[3]?.click();
    expect(model.get("chosen")).toBe("d");
    all(el, ".sps-dot")[0]?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    expect(model.get("chosen")).toBe("a");
  });

  it("keeps its lines and the keyboard when numbers change", () => {
    const { el, model } = open();
    const button = all<HTMLButtonElement>(el, ".sps-run")[3];
    button?.focus();
    model.set("rows", [DONE, SPARSER, BEATEN, { ...RUNNING, progress: 0.5, seconds_left: 60 }]);
    expect(document.activeElement).toBe(button);
    expect(all<HTMLTableRowElement>(el, "tbody tr")[3]?.cells[8]?.textContent).toBe("60 s");
  });

  it("shows text as it is, and why a run failed", () => {
    const failed = { ...RUNNING, state: "failed", error: "<b>broken</b>", fields: ["<i>", "3"] };
    const { el, model } = open({ rows: [failed] });
    expect(el.querySelector("b, i")).toBeNull();
    expect(el.querySelector<HTMLElement>(".sps-plot")?.hidden).toBe(true);
    expect(el.querySelector("tbody tr")?.getAttribute("title")).toBe("<b>broken</b>");
    model.set("detail", "Traceback <b>");
    expect(el.querySelector(".sps-detail")?.textContent).toBe("Traceback <b>");
  });

  it("leaves nothing behind", () => {
    const { el, model, close } = open();
    close();
    expect(el.children).toHaveLength(0);
    expect(model.listenerCount).toBe(0);
  });
});

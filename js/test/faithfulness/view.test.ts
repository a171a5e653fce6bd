import type { RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import faithfulness from "../../src/faithfulness/index";
import type { CurveData, FaithfulnessTraits } from "../../src/faithfulness/model";
import { MARGIN, placeOf, sizeAt } from "../../src/faithfulness/scene";
import { FakeModel } from "../fake-model";

const WIDTH = 600;
const MOST = 1000;

const THIS_RUN: CurveData = {
  name: "This run",
  protocol: "resample, tree patch",
  circuit: [
    [1, 0.9],
    [30, 0.4],
    [1000, 0],
  ],
  complement: [
    [1, 0.01],
    [1000, 0.9],
  ],
  random: [[30, 0.7, 0.95]],
};
const RUN_1: CurveData = { ...THIS_RUN, name: "Run 1", complement: [], random: [] };

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

function open(traits: Partial<FaithfulnessTraits> = {}): {
  model: FakeModel<FaithfulnessTraits>;
  el: HTMLElement;
  close: () => void;
} {
  const model = new FakeModel<FaithfulnessTraits>({
    curves: [THIS_RUN, RUN_1],
    metric: "KL(model ‖ circuit), nats",
    most: MOST,
    n_edges: null,
    training_edges: 30,
    note: "",
    measure: "later",
    ...traits,
  });
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  const props = { model, el, signal: controller.signal, experimental: {} };
  faithfulness.render(props as unknown as RenderProps<FaithfulnessTraits>);
  return {
    model,
    el,
    close: () => {
      controller.abort();
    },
  };
}

const all = (el: HTMLElement, selector: string): Element[] => [...el.querySelectorAll(selector)];

describe("the faithfulness view", () => {
  it("draws the circuit, its complement, the band and every other run in its own colour", () => {
    const { el } = open();
    const lines = all(el, ".spf-line");
    expect(lines.map((line) => line.getAttribute("data-name"))).toEqual([
      "Run 1",
      "Complement",
      "This run",
    ]);
    const colours = lines.map((line) => line.getAttribute("stroke"));
    expect(colours[1]).toBe(colours[2]);
    expect(colours[0]).not.toBe(colours[1]);
    expect(el.querySelector(".spf-band")?.getAttribute("points")?.split(" ")).toHaveLength(2);
    expect(all(el, ".spf-entry").map((entry) => entry.textContent)).toEqual([
      "This run",
      "Complement of this run",
      "Run 1",
      "Random circuits",
    ]);
  });

  it("has the logarithm of the size along its width, and the value upwards", () => {
    const { el } = open();
    const points = (all(el, ".spf-line")[2]?.getAttribute("points") ?? "")
      .split(" ")
      .map((point) => point.split(",").map(Number));
    const room = WIDTH - MARGIN.left - MARGIN.right;
    const share = Math.log(30) / Math.log(MOST);
    expect(points[1]?.[0]).toBeCloseTo(MARGIN.left + share * room, 0);
    expect(points[0]?.[1]).toBeLessThan(points[2]?.[1] ?? 0);
  });

  it("marks the size in view, the chosen one before that of the training", () => {
    const { el, model } = open();
    const at = (): number => Number(el.querySelector(".spf-mark")?.getAttribute("x1"));
    expect(at()).toBeCloseTo(placeOf(30, MOST, WIDTH));
    model.set("n_edges", 200);
    expect(at()).toBeCloseTo(placeOf(200, MOST, WIDTH));
    const plot = el.querySelector("[role=slider]");
    expect(plot?.getAttribute("aria-valuenow")).toBe("200");
    expect(plot?.getAttribute("aria-valuetext")).toBe("200 edges, 0.4 at 30 edges");
  });

  it("takes a click, and the keys of a slider, for another size", () => {
    const { el, model } = open({ n_edges: 30 });
    const plot = el.querySelector<HTMLElement>("[role=slider]");
    plot?.dispatchEvent(new MouseEvent("click", { clientX: placeOf(200, MOST, WIDTH) }));
    expect(model.get("n_edges")).toBe(200);
    plot?.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
    expect(model.get("n_edges")).toBe(199);
    expect(model.save_changes).toHaveBeenCalledTimes(2);
    expect(sizeAt(0, MOST, WIDTH)).toBe(1);
    expect(sizeAt(WIDTH, MOST, WIDTH)).toBe(MOST);
  });

  it("says how runs were measured where it was not in one way", () => {
    const { el } = open({ curves: [THIS_RUN, { ...RUN_1, protocol: "zero, tree patch" }] });
    const words = all(el, ".spf-entry").map((entry) => entry.textContent);
    expect(words[0]).toBe("This run (resample, tree patch)");
    expect(words[2]).toBe("Run 1 (zero, tree patch)");
  });

  it("asks for the present scores to be measured where they can be", () => {
    const { el, model } = open({ curves: [], measure: "now", note: "Not measured yet." });
    const button = el.querySelector("button");
    button?.click();
    expect(model.send).toHaveBeenCalledWith({ type: "measure" });
    expect(el.querySelector<HTMLElement>(".spf-drawn")?.hidden).toBe(true);
    model.set("measure", "later");
    expect(button?.disabled).toBe(true);
    model.set("measure", "never");
    expect(button?.hidden).toBe(true);
  });

  it("has its numbers in a table", () => {
    const { el } = open();
    const rows = all(el, "tbody tr").map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(rows).toContainEqual(["30", "0.400", "0.400", "", "0.700 to 0.950"]);
  });

  it("leaves nothing behind", () => {
    const { el, model, close } = open();
    close();
    expect(el.childElementCount).toBe(0);
    expect(model.listenerCount).toBe(0);
  });
});

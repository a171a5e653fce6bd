import { afterEach, describe, expect, it } from "vitest";

import { PANES } from "../../src/chart/axis";
import { data, drawn, EDGES, HARD, LOSS, OLD_LOSS, openChart, STEPS, TRAITS } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

describe("the figure", () => {
  it("gets the points of every line", async () => {
    const { bqplot } = await openChart();
    expect(bqplot.line("loss").x).toEqual(STEPS);
    expect(bqplot.line("edges").y).toEqual(STEPS.map((step) => 200 - step));
    expect(bqplot.line("loss_smooth").x).toEqual([]);
  });

  it("shows all steps and all values", async () => {
    const { bqplot } = await openChart();
    expect(bqplot.number("steps", "min")).toBeLessThanOrEqual(1);
    expect(bqplot.number("steps", "max")).toBeGreaterThanOrEqual(100);
    expect(bqplot.number("left", "max")).toBeGreaterThanOrEqual(100);
    // The edges have the lower pane: their zero is its bottom, and its top is in the figure.
    expect(bqplot.number("right", "min")).toBe(0);
    expect(bqplot.number("right", "max")).toBeGreaterThan(2 * 199);
  });

  it("has two panes, with the lines and the ticks of each in its own", async () => {
    const { bqplot } = await openChart();
    const share = (scale: string, value: number): number => {
      const [from, to] = [bqplot.number(scale, "min"), bqplot.number(scale, "max")];
      return (value - from) / (to - from);
    };
    const ticks = (axis: string): number[] =>
      bqplot.states.get(`${axis}_axis`)?.tick_values as number[];
    for (const value of [...bqplot.line("loss").y, ...ticks("left")]) {
      expect(share("left", value)).toBeGreaterThanOrEqual(PANES.left.from);
      expect(share("left", value)).toBeLessThanOrEqual(PANES.left.to);
    }
    for (const value of [...bqplot.line("edges").y, ...ticks("right")]) {
      expect(share("right", value)).toBeLessThanOrEqual(PANES.right.to);
    }
  });

  it("shows a line of one point as a short dash", async () => {
    const { bqplot } = await openChart({ live: [data([[1, 5]]), data([[1, 40]])] });
    const { x, y } = bqplot.line("loss");
    expect(y).toEqual([5, 5]);
    expect((x[1] ?? 0) - (x[0] ?? 0)).toBeGreaterThan(0);
    expect(bqplot.number("steps", "max")).toBeGreaterThanOrEqual(10);
  });

  it("has one marker for one evaluation", async () => {
    const { bqplot } = await openChart({
      traces: [LOSS, EDGES, HARD],
      still: [data([[50, 0.5]])],
    });
    expect(bqplot.line("hard")).toEqual({ x: [50], y: [0.5] });
  });

  it("has no marker any more once the evaluations are gone", async () => {
    const still = [data([[50, 0.5]])];
    const { model, bqplot } = await openChart({ traces: [LOSS, EDGES, HARD], still });
    model.set("still", [data([])]);
    await drawn();
    expect(bqplot.line("hard").x).toEqual([]);
  });

  it("leaves the line as measured faintly visible below the smooth one", async () => {
    const { model, bqplot } = await openChart();
    expect(bqplot.states.get("loss")?.opacities).toEqual([1]);
    model.set("smoothing", 0.9);
    await drawn();
    expect(bqplot.line("loss").x).toEqual(STEPS);
    const [faint] = bqplot.states.get("loss")?.opacities as [number];
    expect(faint).toBeGreaterThan(0.1);
    expect(faint).toBeLessThan(0.5);
    const { x, y } = bqplot.line("loss_smooth");
    expect(x).toEqual(STEPS);
    // Weighted by 0.9 and 1: (0.9 · 100 + 50) / 1.9.
    expect(y[1]).toBeCloseTo(140 / 1.9, 3);
    expect(bqplot.line("edges").y[0]).toBe(199);
  });

  it("smooths a long line from its means", async () => {
    const live = [
      data(
        [
          [1, 0],
          [9, 9],
        ],
        [
          [1, 4],
          [9, 4],
        ],
      ),
      data([]),
    ];
    const { bqplot } = await openChart({ live, smoothing: 0.5 });
    expect(bqplot.line("loss_smooth").y).toEqual([4, 4]);
  });

  it("shows powers of ten on a logarithmic axis, with the values on its ticks", async () => {
    const { model, bqplot } = await openChart();
    model.set("log_axes", ["left", "steps"]);
    await drawn();
    const { x, y } = bqplot.line("loss");
    expect(x[9]).toBeCloseTo(1, 6);
    expect(y[0]).toBeCloseTo(2, 6);
    expect(bqplot.number("left", "max")).toBeLessThan(2.2);
    const axis = bqplot.states.get("left_axis") as {
      tick_values: number[];
      tick_labels: Record<string, string>;
    };
    expect(axis.tick_values.map((place) => axis.tick_labels[String(place)])).toEqual(
      axis.tick_values.map((place) => String(Number((10 ** place).toPrecision(6)))),
    );
    model.set("log_axes", []);
    await drawn();
    expect(bqplot.states.get("left_axis")).toMatchObject({
      tick_labels: null,
      tick_values: [0, 20, 40, 60, 80, 100],
    });
    expect(bqplot.line("loss").y[0]).toBe(100);
  });

  it("leaves out what a logarithmic axis cannot show", async () => {
    const live = [
      data([
        [1, 10],
        [2, 0],
        [4, 100],
      ]),
      data([]),
    ];
    const { bqplot } = await openChart({ live, log_axes: ["left"] });
    expect(bqplot.line("loss")).toEqual({ x: [1, 4], y: [1, 2] });
    expect(Number.isFinite(bqplot.number("left", "min"))).toBe(true);
  });

  it("has no logarithmic axis for a line that goes below zero", async () => {
    const live = [
      data([
        [1, 10],
        [3, -1],
      ]),
      data([]),
    ];
    const { bqplot } = await openChart({ live, log_axes: ["left"] });
    expect(bqplot.line("loss")).toEqual({ x: [1, 3], y: [10, -1] });
  });

  it("fits the values to the steps in view", async () => {
    const { model, bqplot } = await openChart();
    model.set("window", [50, 100]);
    await drawn();
    expect(bqplot.number("left", "max")).toBeLessThan(2.2);
    expect(bqplot.line("loss").x[0]).toBe(49);
  });

  it("takes a hidden line off the page and out of the axis", async () => {
    const { model, bqplot } = await openChart({
      traces: [LOSS, EDGES, OLD_LOSS],
      still: [
        data([
          [1, 3],
          [100, 2],
        ]),
      ],
    });
    model.set("hidden", ["Loss"]);
    await drawn();
    expect(bqplot.line("loss").x).toEqual([]);
    expect(bqplot.line("old").x).toEqual([1, 100]);
    expect(bqplot.number("left", "max")).toBeLessThan(4);
  });

  it("draws only what has changed", async () => {
    const { model, bqplot } = await openChart({
      traces: [LOSS, EDGES, OLD_LOSS],
      still: [
        data([
          [1, 3],
          [100, 2],
        ]),
      ],
    });
    const before = new Map(bqplot.updates);
    model.set(
      "live",
      TRAITS.live.map((each) => ({ ...each })),
    );
    await drawn();
    expect(bqplot.updates.get("loss")).toBe((before.get("loss") ?? 0) + 1);
    for (const still of ["old", "old_smooth", "steps", "left", "left_axis"]) {
      expect(bqplot.updates.get(still), still).toBe(before.get(still));
    }
  });

  it("draws the lines of runs that come later", async () => {
    const { model, bqplot } = await openChart();
    model.set("still", [
      data([
        [1, 7],
        [2, 8],
      ]),
    ]);
    model.set("traces", [LOSS, EDGES, OLD_LOSS]);
    await drawn();
    expect(bqplot.line("old").y).toEqual([7, 8]);
  });

  it("sends nothing to the kernel", async () => {
    const { model } = await openChart();
    expect(model.save_changes).not.toHaveBeenCalled();
    expect(model.send).not.toHaveBeenCalled();
  });
});

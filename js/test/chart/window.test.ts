import { describe, expect, it } from "vitest";

import { readScene, type Scene } from "../../src/chart/scene";
import type { ChartTraits } from "../../src/chart/model";
import { panned, windowBetween, zoomed } from "../../src/chart/window";
import { TRAITS } from "./setup";

function scene(traits: Partial<ChartTraits> = {}): Scene {
  const all = { ...TRAITS, ...traits };
  return readScene((trait) => all[trait]);
}

describe("the window of steps", () => {
  it("is what was marked, in either direction", () => {
    expect(windowBetween(scene(), 20.4, 49.6)).toEqual([20, 49]);
    expect(windowBetween(scene(), 49.6, 20.4)).toEqual([20, 49]);
  });

  it("holds at least ten steps, and never more than there are", () => {
    expect(windowBetween(scene(), 50, 51)).toEqual([46, 55]);
    expect(windowBetween(scene(), 1, 1)).toEqual([1, 10]);
    expect(windowBetween(scene(), -50, 500)).toBeNull();
  });

  it("is zoomed around its middle, or around a step that stays in place", () => {
    expect(zoomed(scene({ window: [20, 60] }), 0.5)).toEqual([30, 50]);
    expect(zoomed(scene({ window: [20, 60] }), 0.5, 20)).toEqual([20, 40]);
    expect(zoomed(scene({ window: [20, 60] }), 4)).toBeNull();
  });

  it("is moved as far as there are steps", () => {
    const one = scene({ window: [20, 40] });
    expect(panned(one, 0.5)).toEqual([30, 50]);
    expect(panned(one, -0.5)).toEqual([10, 30]);
    expect(panned(one, -5)).toEqual([1, 21]);
    expect(panned(one, 50)).toEqual([80, 100]);
    expect(panned(scene(), 0.5)).toBeNull();
  });

  it("is zoomed and moved by powers of ten on a logarithmic axis", () => {
    const one = scene({ window: [1, 100], log_axes: ["steps"] });
    expect(zoomed(one, 0.5, 1)).toEqual([1, 10]);
    expect(panned(scene({ window: [2, 20], log_axes: ["steps"] }), 0.5)).toEqual([6, 63]);
  });
});

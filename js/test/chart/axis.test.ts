import { describe, expect, it } from "vitest";

import {
  countAxis,
  evenTicks,
  fractionOf,
  logTicks,
  lossAxis,
  stepsAxis,
  valueAt,
} from "../../src/chart/axis";

const labels = (from: number, to: number): string[] =>
  logTicks({ from: Math.log10(from), to: Math.log10(to) }).map(({ label }) => label);

describe("an axis", () => {
  it.each([true, false])("gives back the value whose place it told (log: %s)", (log) => {
    const axis = stepsAxis({ from: 1, to: 1000 }, log);
    for (const step of [1, 10, 500, 1000]) {
      expect(valueAt(axis, fractionOf(axis, step))).toBeCloseTo(step, 8);
    }
  });

  it("has equal room for each power of ten when it is logarithmic", () => {
    const axis = stepsAxis({ from: 1, to: 10_000 }, true);
    const places = [1, 10, 100, 1000, 10_000].map((step) => fractionOf(axis, step));
    const gaps = places.slice(1).map((place, i) => place - (places[i] ?? 0));
    for (const gap of gaps) expect(gap).toBeCloseTo(gaps[0] ?? 0, 10);
  });

  it("holds a flat line in its middle", () => {
    for (const value of [0, 3, -2]) {
      const axis = lossAxis({ from: value, to: value }, false);
      expect(fractionOf(axis, value)).toBeCloseTo(0.5, 10);
    }
  });

  it("has an extent also without values", () => {
    for (const log of [true, false]) {
      for (const axis of [lossAxis(null, log), countAxis(null, log)]) {
        expect(axis.to).toBeGreaterThan(axis.from);
      }
    }
  });

  it("begins at zero for a count, and has room for ten", () => {
    expect(countAxis({ from: 4, to: 6 }, false)).toMatchObject({ from: 0, to: 10 });
    expect(countAxis({ from: 40, to: 400 }, false).from).toBe(0);
    expect(countAxis({ from: 40, to: 400 }, false).to).toBeGreaterThan(400);
  });
});

describe("the ticks of a linear axis", () => {
  it("are few and round", () => {
    expect(evenTicks(-4, 805)).toEqual([0, 200, 400, 600, 800]);
    expect(evenTicks(0.28, 0.92)).toEqual([0.4, 0.6, 0.8]);
    expect(evenTicks(0, 10)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(evenTicks(0.1, 0.35)).toEqual([0.1, 0.15, 0.2, 0.25, 0.3, 0.35]);
  });
});

describe("the ticks of a logarithmic axis", () => {
  it("are 1, 2 and 5 of every power of ten", () => {
    expect(labels(0.9, 120)).toEqual(["1", "2", "5", "10", "20", "50", "100"]);
    expect(labels(0.0009, 0.011)).toEqual(["0.001", "0.002", "0.005", "0.01"]);
  });

  it("are fewer where there would be too many", () => {
    expect(labels(0.9, 200_000)).toEqual(["1", "10", "100", "1,000", "10,000", "100,000"]);
    expect(labels(1e-12, 1e12).length).toBeLessThanOrEqual(9);
    expect(labels(1e-12, 1e12).length).toBeGreaterThanOrEqual(3);
  });

  it("are close to each other on a short stretch", () => {
    expect(labels(0.93, 0.97)).toEqual(["0.93", "0.94", "0.95", "0.96", "0.97"]);
    expect(labels(210, 480)).toEqual(["250", "300", "350", "400", "450"]);
  });

  it("are where their labels say", () => {
    for (const { place, label } of logTicks({ from: -2, to: 3 })) {
      expect(10 ** place).toBeCloseTo(Number(label.replace(",", "")), 8);
    }
  });
});

import { describe, expect, it } from "vitest";

import { clip, latest, nearest, readPoints } from "../../src/chart/points";
import { smooth } from "../../src/chart/smooth";
import { packed } from "./setup";

const LINE = readPoints(
  packed([
    [10, 1],
    [20, 2],
    [40, 4],
    [80, 8],
  ]),
);

describe("points", () => {
  it("are read wherever their bytes lie", () => {
    const bytes = new Uint8Array(8 * 4 + 1);
    const { buffer, byteOffset, byteLength } = packed([[3, 0.5]]);
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), 1);
    const points = readPoints(new DataView(bytes.buffer, 1, 8));
    expect([[...points.x], [...points.y]]).toEqual([[3], [0.5]]);
  });

  it("are found by the nearest step, and not beyond the ends", () => {
    const found = [9, 10, 14, 16, 29, 31, 80, 81].map((x) => nearest(LINE, x));
    expect(found).toEqual([-1, 0, 0, 1, 1, 2, 3, -1]);
  });

  it("are found by the latest step", () => {
    expect([9, 10, 19, 20, 500].map((x) => latest(LINE, x))).toEqual([-1, 0, 0, 1, 3]);
  });

  it("are cut to a window with one more on either side", () => {
    expect([...clip(LINE, 15, 30).x]).toEqual([10, 20, 40]);
    expect([...clip(LINE, 20, 40).x]).toEqual([10, 20, 40, 80]);
    expect([...clip(LINE, 0, 500).x]).toEqual([10, 20, 40, 80]);
    expect([...clip(LINE, 200, 500).x]).toEqual([80]);
  });
});

describe("smoothing", () => {
  const spike = readPoints(packed([1, 2, 3, 4].map((step) => [step, step === 1 ? 1 : 0])));

  it("is an average with exponentially falling weights that sum to one", () => {
    const { y } = smooth(spike, 0.5);
    // 1, (0 + 0.5) / 1.5, (0 + 0 + 0.25) / 1.75, 0.125 / 1.875
    [1, 1 / 3, 1 / 7, 1 / 15].forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 6);
    });
  });

  it("leaves a flat line flat from its first point on", () => {
    const flat = readPoints(packed([1, 2, 5, 9].map((step) => [step, 3])));
    for (const value of smooth(flat, 0.99).y) expect(value).toBeCloseTo(3, 6);
  });

  it("is as strong to the eye on a long run, however many of its points are left", () => {
    const wave = (length: number, every: number): number[] => {
      const points: [number, number][] = [];
      for (let x = 0; x <= length; x += every) points.push([x, x < length / 2 ? 0 : 1]);
      const { x, y } = smooth(readPoints(packed(points)), 0.95);
      // A twentieth of the run after the jump.
      return [y[x.findIndex((each) => each >= 0.55 * length)] ?? 0];
    };
    const [long] = wave(100_000, 100);
    expect(wave(10_000, 10)[0]).toBeCloseTo(long ?? 0, 1);
    expect(wave(100_000, 200)[0]).toBeCloseTo(long ?? 0, 1);
    expect(long).toBeGreaterThan(0.5);
  });
});

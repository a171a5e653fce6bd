import { describe, expect, it } from "vitest";

import { formatCount, formatDuration, formatLoss } from "../../src/panel/format";

describe("figures", () => {
  it.each([
    [0, "0"],
    [32491, "32,491"],
  ])("count %d", (count, text) => {
    expect(formatCount(count)).toBe(text);
  });

  it.each([
    [0, "0"],
    [0.012345, "0.0123"],
    [0.5, "0.5000"],
    [1.23456, "1.235"],
    [-12.3456, "-12.35"],
    [12345.6, "12346"],
    [1234567, "1.23e+6"],
    [1.5e-7, "1.50e-7"],
    [Number.POSITIVE_INFINITY, "Infinity"],
  ])("loss %d", (loss, text) => {
    expect(formatLoss(loss)).toBe(text);
  });

  it.each([
    [0, "0 s"],
    [-1, "0 s"],
    [7.2, "8 s"],
    [59.5, "1 min 0 s"],
    [80, "1 min 20 s"],
    [7500, "2 h 5 min"],
  ])("duration %d", (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

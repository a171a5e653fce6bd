import { describe, expect, it } from "vitest";

import { placeOf, sizeAfterKey, sizeAt, SLIDER_STEPS } from "../../src/circuit/scale";

const GPT2 = 32_491;

describe("the slider", () => {
  it("goes from no edge to all", () => {
    expect(sizeAt(0, GPT2)).toBe(0);
    expect(sizeAt(SLIDER_STEPS, GPT2)).toBe(GPT2);
  });

  it("gives half of its way to circuits of fewer than 200 of 32,491 edges", () => {
    expect(sizeAt(SLIDER_STEPS / 2, GPT2)).toBeLessThan(200);
  });

  it("finds the place of a size again", () => {
    for (const size of [0, 1, 2, 10, 500, 20_000, GPT2]) {
      const found = sizeAt(placeOf(size, GPT2), GPT2);
      expect(Math.abs(found - size)).toBeLessThanOrEqual(0.01 * size);
    }
    expect(placeOf(0, 0)).toBe(0);
  });

  it.each([
    ["ArrowRight", 40, 41],
    ["ArrowUp", 20_000, 20_001],
    ["ArrowLeft", 40, 39],
    ["ArrowDown", 0, 0],
    ["ArrowRight", GPT2, GPT2],
    ["PageUp", 4, 14],
    ["PageUp", 1000, 1500],
    ["PageDown", 1500, 1000],
    ["PageDown", 4, 0],
    ["Home", 40, 0],
    ["End", 40, GPT2],
    ["a", 40, null],
  ])("%s at %i edges leads to %i", (key, size, next) => {
    expect(sizeAfterKey(key, size, GPT2)).toBe(next);
  });
});

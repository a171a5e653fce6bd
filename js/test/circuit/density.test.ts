import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Density } from "../../src/circuit/density";
import { preparePage, tidyPage } from "./setup";

beforeEach(preparePage);
afterEach(tidyPage);

const CURVES = [
  [10, 90, 10, 60, 40, 40, 40, 10],
  [5, 80, 5, 75, 95, 70, 95, 65],
  [50, 95, 50, 80, 70, 70, 70, 60, 70, 60, 70, 40, 70, 40, 70, 20, 55, 20, 55, 5],
];
const ORDER = Uint32Array.from([2, 0, 1]);

/** The opacity of each pixel of a density that shows the marked curves after all that came before. */
function opacities(density: Density, ...wanted: number[][]): number[] {
  for (const marks of wanted) {
    density.want(Uint8Array.from(marks), ORDER);
    while (!density.done) density.work((edge) => CURVES[edge] ?? [], 1000);
  }
  const canvas = document.createElement("canvas");
  canvas.width = 100;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("There is no canvas.");
  let pixels: number[] = [];
  context.putImageData = (image: ImageData) => {
    pixels = [...image.data].filter((_, i) => i % 4 === 3);
  };
  density.paint(context, "black", 0);
  return pixels;
}

function fresh(): Density {
  const density = new Density();
  density.reset(100, 100, CURVES.length);
  return density;
}

describe("the density of weak edges", () => {
  it("is darker where more lines go", () => {
    const one = opacities(fresh(), [1, 0, 0]);
    const all = opacities(fresh(), [1, 1, 1]);
    expect(Math.max(...one)).toBeGreaterThan(0);
    expect(all.every((opacity, i) => opacity >= (one[i] ?? 0))).toBe(true);
    expect(all.filter(Boolean).length).toBeGreaterThan(one.filter(Boolean).length);
  });

  it("follows a line from end to end", () => {
    const pixels = opacities(fresh(), [1, 0, 0]);
    for (let y = 10; y <= 90; y++) {
      expect(Math.max(...pixels.slice(100 * y, 100 * (y + 1)))).toBeGreaterThan(0);
    }
    expect(Math.max(...pixels.slice(0, 900))).toBe(0);
  });

  it("is as if a line had never been there when it is taken out", () => {
    expect(opacities(fresh(), [1, 1, 1], [0, 1, 0], [0, 1, 1])).toEqual(
      opacities(fresh(), [0, 1, 1]),
    );
    expect(opacities(fresh(), [1, 1, 1], [0, 0, 0]).every((opacity) => opacity === 0)).toBe(true);
  });
});

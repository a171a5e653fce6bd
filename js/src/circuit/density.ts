// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import type { Curve } from "./routes";

/** What one line leaves at a place that it goes through, shared by two neighbouring pixels. */
const UNITS = 16;

/** The opacity, of 255, of the densest places. */
const DENSEST = 150;

/**
 * Thousands of weak edges as a density: how many lines go through each pixel. Unlike strokes on a
 * canvas, a line can be taken out again, so a moving slider costs only the edges that it moves
 * past. Long work is done in portions, between which the page stays responsive.
 */
export class Density {
  #width = 0;
  #height = 0;
  #density = new Uint32Array(0);
  #present = new Uint8Array(0);
  #wanted: Uint8Array = new Uint8Array(0);
  #order: Uint32Array = new Uint32Array(0);
  #cursor = 0;
  #image: ImageData | null = null;
  #colour = "";
  #pixels = new Uint32Array(1);

  /** Starts anew with an empty picture: the lines have moved. */
  reset(width: number, height: number, nEdges: number): void {
    this.#width = Math.ceil(width);
    this.#height = Math.ceil(height);
    this.#density = new Uint32Array(this.#width * this.#height);
    this.#present = new Uint8Array(nEdges);
    this.#order = new Uint32Array(0);
    this.#cursor = 0;
  }

  /** From now on the edges marked with 1 are wanted; those that come first in `order`, first. */
  want(edges: Uint8Array, order: Uint32Array): void {
    this.#wanted = edges;
    this.#order = order;
    this.#cursor = 0;
  }

  get done(): boolean {
    return this.#cursor >= this.#order.length;
  }

  /** Works for some milliseconds; returns whether the picture changed. */
  work(curveOf: (edge: number) => Curve, milliseconds: number): boolean {
    const end = performance.now() + milliseconds;
    let stamped = 0;
    for (; !this.done; this.#cursor++) {
      const edge = this.#order[this.#cursor]!;
      const wanted = this.#wanted[edge]!;
      if (wanted === this.#present[edge]) continue;
      if (++stamped % 64 === 0 && performance.now() > end) return true;
      this.#stamp(curveOf(edge), wanted ? 1 : -1);
      this.#present[edge] = wanted;
    }
    return stamped > 0;
  }

  /** Paints, in one colour, what lies to the right of `left`, as wide as the canvas. */
  paint(context: CanvasRenderingContext2D, colour: string, left: number): void {
    const { width } = context.canvas;
    if (width === 0 || this.#height === 0) return;
    if (colour !== this.#colour) {
      this.#colour = colour;
      this.#pixels = pixelsOf(colour);
    }
    if (this.#image?.width !== width || this.#image.height !== this.#height) {
      this.#image = context.createImageData(width, this.#height);
    }
    const image = new Uint32Array(this.#image.data.buffer);
    const pixels = this.#pixels;
    const densest = pixels.length - 1;
    const columns = Math.min(width, this.#width - left);
    for (let y = 0; y < this.#height; y++) {
      const from = y * this.#width + left;
      for (let x = 0; x < columns; x++) {
        image[y * width + x] = pixels[Math.min(this.#density[from + x]!, densest)]!;
      }
    }
    context.putImageData(this.#image, 0, 0);
  }

  /** Adds a line, or takes it out: both touch the same pixels with the same units. */
  #stamp(curve: Curve, sign: 1 | -1): void {
    for (let i = 0; i + 7 < curve.length; i += 6) this.#stampPart(curve, i, sign);
  }

  #stampPart(curve: Curve, start: number, sign: 1 | -1): void {
    const x1 = curve[start]!;
    const y1 = curve[start + 1]!;
    const x2 = curve[start + 6]!;
    const y2 = curve[start + 7]!;
    const wide = Math.abs(x2 - x1);
    const tall = Math.abs(y2 - y1);
    const steps = Math.ceil(1.4 * Math.max(wide, tall)) + 1;
    for (let i = 0; i <= steps; i++) {
      const t = i / steps;
      const s = 1 - t;
      const a = s * s * s;
      const b = 3 * s * s * t;
      const c = 3 * s * t * t;
      const d = t * t * t;
      const x = a * x1 + b * curve[start + 2]! + c * curve[start + 4]! + d * x2;
      const y = a * y1 + b * curve[start + 3]! + c * curve[start + 5]! + d * y2;
      // A smooth line: between two pixels across its direction, both get their share.
      if (wide > tall) {
        const row = Math.floor(y);
        const far = Math.round((y - row) * UNITS);
        this.#add(Math.round(x), row, sign * (UNITS - far));
        this.#add(Math.round(x), row + 1, sign * far);
      } else {
        const column = Math.floor(x);
        const far = Math.round((x - column) * UNITS);
        this.#add(column, Math.round(y), sign * (UNITS - far));
        this.#add(column + 1, Math.round(y), sign * far);
      }
    }
  }

  #add(x: number, y: number, units: number): void {
    if (x < 0 || y < 0 || x >= this.#width || y >= this.#height) return;
    this.#density[y * this.#width + x]! += units;
  }
}

/** The pixel of each density, as a canvas keeps it on a little-endian machine. */
function pixelsOf(colour: string): Uint32Array<ArrayBuffer> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1, 1];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return new Uint32Array(1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
  const opacities: number[] = [];
  // By the logarithm: one line can be seen, and a thousand are not all of the same black.
  for (let density = 0; (opacities.at(-1) ?? 0) < DENSEST; density++) {
    opacities.push(Math.min(DENSEST, 22 * Math.log2(1 + density / UNITS)));
  }
  return Uint32Array.from(
    opacities,
    (opacity) => (Math.round(opacity) << 24) | (blue << 16) | (green << 8) | red,
  );
}

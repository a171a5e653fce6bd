/** Where everything of the picture lies, in pixels. */

import type { CurveData, FaithfulnessTraits } from "./model";

export const MARGIN = { top: 12, right: 26, bottom: 42, left: 52 };
export const HEIGHT = 260;
/** Pixels from the middle of a number below the axis to the middle of the next. */
const LEAST_ROOM = 48;

/** Contrast of at least 3 : 1 with a white and with a black ground. */
export const COLOURS = ["#2a7fd4", "#c4681c", "#8b6fd0", "#c2508c", "#2e8b67", "#9a7b1f"] as const;
/** Dashes of the runs after the first, so that colour is never needed to tell them apart. */
const DASHES = ["", "9 3", "3 3", "9 3 2 3", "14 4", "2 5"] as const;

export interface Line {
  name: string;
  colour: string;
  dashes: string;
  width: number;
  points: [number, number][];
}

export interface Tick {
  at: number;
  label: string;
}

export interface Scene {
  width: number;
  lines: Line[];
  /** The random circuits of the first run: along the least that they lose, and back. */
  band: [number, number][];
  sizes: Tick[];
  values: Tick[];
  /** The marked size; null: none. */
  mark: number | null;
}

type Traits = Pick<FaithfulnessTraits, "curves" | "most" | "n_edges" | "training_edges">;

export function markedSize(traits: Pick<Traits, "n_edges" | "training_edges">): number | null {
  return traits.n_edges ?? traits.training_edges;
}

/** The place of a number of edges on the log axis; the circuit without edges stands at 1. */
export function placeOf(size: number, most: number, width: number): number {
  const room = width - MARGIN.left - MARGIN.right;
  const share = most > 1 ? Math.log(Math.max(1, size)) / Math.log(most) : 0;
  return MARGIN.left + share * room;
}

/** The number of edges at a place, from 1 to all. */
export function sizeAt(x: number, most: number, width: number): number {
  const room = width - MARGIN.left - MARGIN.right;
  const share = Math.min(1, Math.max(0, (x - MARGIN.left) / room));
  return Math.round(Math.exp(share * Math.log(Math.max(1, most))));
}

export function sceneOf(traits: Traits, width: number, format: (size: number) => string): Scene {
  const { curves, most } = traits;
  const first = curves[0];
  const all = [
    ...curves.flatMap((curve) => curve.circuit.map(([, value]) => value)),
    ...(first ? first.complement.map(([, value]) => value) : []),
    ...(first ? first.random.flatMap(([, low, high]) => [low, high]) : []),
  ];
  const ticks = niceTicks(Math.min(0, ...all), Math.max(...all, 0));
  const low = ticks[0] ?? 0;
  const high = ticks.at(-1) ?? 1;
  const room = HEIGHT - MARGIN.top - MARGIN.bottom;
  const x = (size: number): number => placeOf(size, most, width);
  const y = (value: number): number =>
    MARGIN.top + (1 - (value - low) / Math.max(high - low, Number.MIN_VALUE)) * room;
  const drawn = (points: [number, number][]): [number, number][] =>
    points.map(([size, value]) => [x(size), y(value)]);

  const mark = markedSize(traits);
  return {
    width,
    // The first one is drawn on top.
    lines: curves
      .map((curve, index) => linesOf(curve, index, drawn))
      .reverse()
      .flat(),
    band: first
      ? [
          ...first.random.map(([size, least]): [number, number] => [x(size), y(least)]),
          ...first.random
            .map(([size, , largest]): [number, number] => [x(size), y(largest)])
            .reverse(),
        ]
      : [],
    sizes: sizeTicks(most, width).map((size) => ({ at: x(size), label: format(size) })),
    values: ticks.map((value) => ({ at: y(value), label: String(Number(value.toPrecision(6))) })),
    mark: mark === null ? null : x(mark),
  };
}

export function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length] ?? COLOURS[0];
}

export function dashesOf(index: number): string {
  return DASHES[index % DASHES.length] ?? "";
}

function linesOf(
  curve: CurveData,
  index: number,
  drawn: (points: [number, number][]) => [number, number][],
): Line[] {
  const colour = colourOf(index);
  const circuit = {
    name: curve.name,
    colour,
    dashes: dashesOf(index),
    width: index === 0 ? 2.5 : 1.75,
    points: drawn(curve.circuit),
  };
  if (index > 0 || curve.complement.length === 0) return [circuit];
  const complement = {
    name: "Complement",
    colour,
    dashes: "2 4",
    width: 1.75,
    points: drawn(curve.complement),
  };
  return [complement, circuit];
}

/** Powers of ten, as many as there is room for, and the number of all edges where there is. */
export function sizeTicks(most: number, width: number): number[] {
  const room = (size: number, before: number): boolean =>
    placeOf(size, most, width) - placeOf(before, most, width) >= LEAST_ROOM;
  const ticks = [1];
  for (let size = 10; size <= most; size *= 10) {
    if (room(size, ticks.at(-1) ?? 1)) ticks.push(size);
  }
  if (room(most, ticks.at(-1) ?? 1)) ticks.push(most);
  return ticks;
}

/** Four to eight round numbers that hold the range. */
export function niceTicks(low: number, high: number): number[] {
  const span = high - low || 1;
  const raw = span / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((each) => each * power >= raw) ?? 10) * power;
  const ticks: number[] = [];
  for (let index = Math.floor(low / step); index * step < high + step * 0.999; index++) {
    ticks.push(index * step);
  }
  return ticks;
}

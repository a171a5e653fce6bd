/** Axes: what they reach from and to, and where their ticks are. */

/** Everything about an axis is in its own units: on a logarithmic one the power of ten. */
export interface Axis {
  log: boolean;
  from: number;
  to: number;
  /** What is seen of it where the axis goes on beyond its pane: its ticks are there. */
  seen: Range;
}

export interface Range {
  from: number;
  to: number;
}

/** Below it an axis of steps or edges would have ticks at half a step or half an edge. */
export const LEAST_COUNT = 10;

/** Room above and below the lines, of their height. */
const ROOM = 0.05;
/** Room above a count: more, because both lines begin with their highest value. */
const COUNT_ROOM = 0.15;
/** Room on both sides of the steps, of their width: a line's end is not cut in half. */
const SIDE_ROOM = 0.006;

/** Ticks of a logarithmic axis, at most. */
const MAX_TICKS = 9;

/** The two panes, one above the other on one axis of steps: shares of the height from below. */
export const PANES = { left: { from: 0.41, to: 1 }, right: { from: 0, to: 0.34 } } as const;

/** The same axis, so long that what is seen of it fills a pane of the figure. */
export function inPane(axis: Axis, pane: Range): Axis {
  const height = (axis.to - axis.from) / (pane.to - pane.from);
  const from = axis.from - pane.from * height;
  return { ...axis, from, to: from + height };
}

export function toAxis(value: number, log: boolean): number {
  return log ? Math.log10(value) : value;
}

export function fromAxis(place: number, log: boolean): number {
  return log ? 10 ** place : place;
}

/** Where on an axis a value is: 0 at its beginning, 1 at its end. */
export function fractionOf(axis: Axis, value: number): number {
  return (toAxis(value, axis.log) - axis.from) / (axis.to - axis.from);
}

export function valueAt(axis: Axis, fraction: number): number {
  return fromAxis(axis.from + fraction * (axis.to - axis.from), axis.log);
}

/** The axis for a range of steps. */
export function stepsAxis({ from, to }: Range, log: boolean): Axis {
  return widened(toAxis(Math.max(from, log ? 1 : from), log), toAxis(to, log), SIDE_ROOM, log);
}

/** The axis of the loss and its terms, around all values; `null`: there are none. */
export function lossAxis(values: Range | null, log: boolean): Axis {
  if (!values) return whole(log, log ? -1 : 0, log ? 0 : 1);
  return widened(toAxis(values.from, log), toAxis(values.to, log), ROOM, log);
}

/**
 * The axis of a count. It starts at zero, but its other end follows the data, because a circuit of
 * forty edges would be a flat line on an axis up to all edges of a model.
 */
export function countAxis(values: Range | null, log: boolean): Axis {
  if (log) return lossAxis(values, true);
  return whole(log, 0, Math.max(LEAST_COUNT, (values?.to ?? 0) * (1 + COUNT_ROOM)));
}

function whole(log: boolean, from: number, to: number): Axis {
  return { log, from, to, seen: { from, to } };
}

function widened(from: number, to: number, share: number, log: boolean): Axis {
  // A flat line lies in the middle.
  const room = to > from ? (to - from) * share : Math.abs(from) * 0.1 || 0.5;
  return whole(log, from - room, to + room);
}

export interface Tick {
  place: number;
  label: string;
}

/** The ticks in the part of an axis that is seen. */
export function ticksOf({ log, seen }: Axis): Tick[] {
  if (log) return logTicks(seen);
  return evenTicks(seen.from, seen.to).map((place) => ({ place, label: PLAIN.format(place) }));
}

/** Ticks of a logarithmic axis: their places, and what is written there. */
export function logTicks({ from, to }: Range): Tick[] {
  const values = [
    tickValues(from, to, [1, 2, 5]),
    tickValues(from, to, [1]),
    everyFewPowers(from, to),
  ].find((ticks) => ticks.length <= MAX_TICKS);
  const enough = values && values.length >= 3 ? values : evenTicks(10 ** from, 10 ** to);
  return enough.map((value) => ({ place: Math.log10(value), label: formatTick(value) }));
}

function tickValues(from: number, to: number, digits: number[]): number[] {
  const values: number[] = [];
  for (let power = Math.floor(from); power <= Math.ceil(to); power++) {
    for (const digit of digits) values.push(Number(`${digit}e${power}`));
  }
  return values.filter((value) => value >= 10 ** from && value <= 10 ** to);
}

function everyFewPowers(from: number, to: number): number[] {
  const apart = Math.ceil((to - from) / MAX_TICKS);
  return tickValues(from, to, [1]).filter((value) => Math.round(Math.log10(value)) % apart === 0);
}

/** At most seven round values at equal distances: few enough for a narrow figure. */
export function evenTicks(from: number, to: number): number[] {
  const rough = (to - from) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const apart = ([1, 2, 5, 10].find((n) => n * power >= rough) ?? 10) * power;
  const values: number[] = [];
  // A little more, for an end that is a tick but for rounding.
  const last = Math.floor(to / apart + 1e-9);
  for (let n = Math.ceil(from / apart - 1e-9); n <= last; n++) {
    values.push(Number((n * apart).toPrecision(12)));
  }
  return values;
}

const PLAIN = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

function formatTick(value: number): string {
  return value < 1e-4 || value >= 1e7 ? value.toExponential() : PLAIN.format(value);
}

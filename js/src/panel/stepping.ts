import type { FieldSpec } from "./model";

const MANTISSAS = [1, 2, 5, 10];

/**
 * What an arrow key makes of a number that is typed as text: one `step` more or less, or the next
 * of 1, 2, 5, 10, 20 ... where the step is 0. Null where the text is no number.
 */
export function stepped(
  text: string,
  direction: 1 | -1,
  { kind, min = null, max = null, step = 0 }: Pick<FieldSpec, "kind" | "min" | "max" | "step">,
): string | null {
  // An empty field begins at its lowest value.
  const value = text.trim() ? Number(text) : (min ?? 0) - (direction === 1 ? step : 0);
  if (!Number.isFinite(value)) return null;
  let next = step > 0 ? value + direction * step : neighbour(value, direction);
  if (kind === "integer") next = Math.round(next);
  if (min !== null && next < min) next = min;
  if (max !== null && next > max) next = max;
  // Without the last digits, in which 0.1 + 0.2 is not 0.3.
  return String(Number(next.toPrecision(12)));
}

/** The next larger or smaller of ... 0.5, 1, 2, 5, 10, 20 ... */
function neighbour(value: number, direction: 1 | -1): number {
  if (value === 0) return direction === 1 ? 1e-3 : 0;
  if (value < 0) return -neighbour(-value, direction === 1 ? -1 : 1);
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  const mantissa = value / power;
  const found =
    direction === 1
      ? MANTISSAS.find((each) => each > mantissa * (1 + 1e-9))
      : [...MANTISSAS].reverse().find((each) => each < mantissa * (1 - 1e-9));
  return (found ?? (direction === 1 ? 10 : 0.5)) * power;
}

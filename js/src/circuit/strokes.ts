// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { MISS_WIDTH, PORT_DASHES, THICK, THIN, VERDICT_DASHES } from "../generated/measures";
import type { Verdict } from "./top-circuit";
import type { Port } from "./model";
import { SHADES, type Palette } from "./palette";

/** How an edge is drawn. Edges of one stroke are drawn together. */
export interface Stroke {
  colour: string;
  width: number;
  dash: readonly number[];
  alpha: number;
}

/** What sets an edge apart: how it compares with another circuit, or that it was switched by hand. */
export type Mark = Verdict | "off" | "on";

export const SWITCH_DASHES = { off: [1, 4], on: [10, 3, 2, 3] } as const;

const MARK_DASHES: Record<Mark, readonly number[]> = { ...VERDICT_DASHES, ...SWITCH_DASHES };

export const CARRYING_DASH: readonly number[] = [1, 3];

/** The least and the largest absolute score that are told apart. */
export type Ramp = readonly [number, number];

/** The shade of a score: 0 for the weakest, `SHADES - 1` for the strongest that is drawn. */
export function shadeOf(score: number, [weakest, strongest]: Ramp): number {
  const share = strongest > weakest ? (Math.abs(score) - weakest) / (strongest - weakest) : 1;
  return Math.round(Math.min(1, Math.max(0, share)) * (SHADES - 1));
}

/** The stroke of an edge with this score. `faded`: it lies on no path. */
export function strokeOf(
  palette: Palette,
  score: number,
  ramp: Ramp,
  port: Port,
  mark: Mark | null,
  faded: boolean,
): Stroke {
  const shade = shadeOf(score, ramp);
  const colours = score < 0 ? palette.negative : palette.positive;
  const width = THIN + (THICK - THIN) * (shade / (SHADES - 1));
  const absent = mark === "miss" || mark === "off";
  return {
    colour: mark ? palette[mark] : colours[shade]!,
    width: faded ? THIN : absent || mark === "on" ? MISS_WIDTH : width,
    dash: mark ? MARK_DASHES[mark] : PORT_DASHES[port],
    alpha: faded ? 0.45 : 1,
  };
}

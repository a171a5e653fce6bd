// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

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

/** Q, K and V by their dashes, where these do not tell hits from extras. */
export const PORT_DASHES: Record<Port, readonly number[]> = {
  "": [],
  Q: [7, 4],
  K: [2, 3],
  V: [],
};

export const VERDICT_DASHES: Record<Verdict, readonly number[]> = {
  hit: [],
  miss: [8, 5],
  extra: [2, 3.5],
};

export const CARRYING_DASH: readonly number[] = [1, 3];

const THIN = 0.8;
const THICK = 3.4;

/** The shade of a score: 0 for the weakest, `SHADES - 1` for the strongest of the model. */
export function shadeOf(score: number, strongest: number): number {
  if (strongest === 0) return 0;
  return Math.round((Math.abs(score) / strongest) * (SHADES - 1));
}

/** The stroke of an edge with this score. `faded`: it lies on no path. */
export function strokeOf(
  palette: Palette,
  score: number,
  strongest: number,
  port: Port,
  verdict: Verdict | null,
  faded: boolean,
): Stroke {
  const shade = shadeOf(score, strongest);
  const ramp = score < 0 ? palette.negative : palette.positive;
  const width = THIN + (THICK - THIN) * (shade / (SHADES - 1));
  return {
    colour: verdict ? palette[verdict] : ramp[shade]!,
    // A missing edge has a low score by nature, and must be seen all the same.
    width: faded ? THIN : verdict === "miss" ? 1.8 : width,
    dash: verdict ? VERDICT_DASHES[verdict] : PORT_DASHES[port],
    alpha: faded ? 0.45 : 1,
  };
}

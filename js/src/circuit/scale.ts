/**
 * The slider's scale: its way grows with the logarithm of the number of edges, so that circuits
 * of ten edges and of ten thousand are both within reach.
 */

export const SLIDER_STEPS = 1000;

/** The number of edges at a place of the slider, from 0 to `SLIDER_STEPS`. */
export function sizeAt(place: number, most: number): number {
  return Math.round(Math.expm1((place / SLIDER_STEPS) * Math.log1p(most)));
}

export function placeOf(size: number, most: number): number {
  return most === 0 ? 0 : Math.round((Math.log1p(size) / Math.log1p(most)) * SLIDER_STEPS);
}

/** Where a key takes the slider; null: nowhere. An arrow is always one edge. */
export function sizeAfterKey(key: string, size: number, most: number): number | null {
  const steps: Record<string, number> = {
    ArrowLeft: size - 1,
    ArrowDown: size - 1,
    ArrowRight: size + 1,
    ArrowUp: size + 1,
    PageDown: Math.min(size - 10, Math.round(size / 1.5)),
    PageUp: Math.max(size + 10, Math.round(size * 1.5)),
    Home: 0,
    End: most,
  };
  const next = steps[key];
  return next === undefined ? null : Math.min(most, Math.max(0, next));
}

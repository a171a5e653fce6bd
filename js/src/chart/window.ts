/** The steps in view: zooming and panning, in the units of the axis. */

import { fromAxis, LEAST_COUNT, toAxis, type Range } from "./axis";
import type { Scene } from "./scene";

/** A window of steps; `null`: all. */
export type Window = [number, number] | null;

/** The window from one step to another, in either order. */
export function windowBetween(scene: Scene, one: number, other: number): Window {
  return fitted(scene.all, { from: Math.min(one, other), to: Math.max(one, other) });
}

/** The view with `factor` times as many steps, around a step that stays where it is. */
export function zoomed(scene: Scene, factor: number, around?: number): Window {
  const { log } = scene.axes.steps;
  const [from, to] = [toAxis(scene.view.from, log), toAxis(scene.view.to, log)];
  const fixed = around === undefined ? (from + to) / 2 : toAxis(around, log);
  const place = (end: number): number => fromAxis(fixed + (end - fixed) * factor, log);
  return fitted(scene.all, { from: place(from), to: place(to) });
}

/** The view moved by a share of its width: below 0 to earlier steps, above 0 to later ones. */
export function panned(scene: Scene, share: number): Window {
  const { log } = scene.axes.steps;
  const [from, to] = [toAxis(scene.view.from, log), toAxis(scene.view.to, log)];
  const least = toAxis(scene.all.from, log) - from;
  const most = toAxis(scene.all.to, log) - to;
  const by = Math.min(Math.max((to - from) * share, least), Math.max(most, 0));
  return fitted(scene.all, { from: fromAxis(from + by, log), to: fromAxis(to + by, log) });
}

/** Whole steps, at least ten of them, within all there are. */
function fitted(all: Range, wanted: Range): Window {
  const width = Math.max(LEAST_COUNT - 1, Math.round(wanted.to - wanted.from));
  if (width >= all.to - all.from) return null;
  // Too few steps are widened around their middle.
  const added = Math.max(0, width - (wanted.to - wanted.from));
  const start = Math.round(wanted.from - (added > 0.5 ? added / 2 : 0));
  const from = Math.min(Math.max(start, all.from), all.to - width);
  return [from, from + width];
}

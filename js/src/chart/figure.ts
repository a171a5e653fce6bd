/**
 * Draws the scene with bqplot: puts points into its lines and ends into its scales.
 *
 * This happens in the browser, once for all views, so that zooming, smoothing and log axes work at
 * once. What is put in is not sent to the kernel, which knows it anyway.
 */

import { evenTicks, logTicks, toAxis, type Axis } from "./axis";
import { AXES, PICTURED, type ChartModel } from "./model";
import { clip, type Points } from "./points";
import { readScene, type Scene, type Trace } from "./scene";
import { smooth } from "./smooth";
import { observe } from "../shared/observe";

/** A model of ipywidgets, as far as it is needed here. */
interface Widget {
  /** Takes over a state as if it came from the kernel. */
  set_state(state: Record<string, unknown>): unknown;
}

/** How much of the line as measured is left to see below the smooth one. */
const FAINT = 0.3;

/** The length of a line of one point, in steps: a point alone would not be seen. */
const TICK = 0.4;

/** Earlier runs stay in the background. */
const PAST = 0.8;

/** What a reference to a model begins with. */
const PREFIX = "IPY_MODEL_";

const NO_POINTS: Points = { x: new Float32Array(0), y: new Float32Array(0) };

/** What a widget of bqplot is to show, and what that follows from. */
interface Update {
  /** The reference to the widget. */
  ref: string;
  causes: unknown[];
  state: () => Record<string, unknown>;
}

/** Draws the model's scene, now and whenever it changes, until `signal` aborts. */
export function drawFigure(model: ChartModel, signal: AbortSignal): void {
  const widgets = new Map<string, Widget>();
  const shown = new Map<string, unknown[]>();
  let frame = 0;

  const draw = (): void => {
    frame = 0;
    const scene = readScene((trait) => model.get(trait));
    for (const { ref, causes, state } of updates(scene, model)) {
      const before = shown.get(ref);
      if (before?.every((cause, index) => Object.is(cause, causes[index]))) continue;
      const widget = widgets.get(ref);
      if (!widget) continue;
      shown.set(ref, causes);
      widget.set_state(state());
    }
  };
  const drawSoon = (): void => {
    if (frame === 0 && !signal.aborted) frame = requestAnimationFrame(draw);
  };

  const find = async (): Promise<void> => {
    const refs = [
      ...Object.values(model.get("parts")),
      ...model.get("traces").flatMap(({ marks }) => marks),
    ];
    const missing = refs.filter((ref) => !widgets.has(ref));
    await Promise.all(
      missing.map(async (ref) => {
        const widget: unknown = await model.widget_manager.get_model(ref.replace(PREFIX, ""));
        widgets.set(ref, widget as Widget);
      }),
    );
    for (const ref of [...widgets.keys()].filter((ref) => !refs.includes(ref))) {
      widgets.delete(ref);
      shown.delete(ref);
    }
    drawSoon();
  };

  observe(model, ["traces"], () => void find(), signal);
  observe(model, PICTURED, drawSoon, signal);
  signal.addEventListener(
    "abort",
    () => {
      cancelAnimationFrame(frame);
    },
    { once: true },
  );
}

function updates(scene: Scene, model: ChartModel): Update[] {
  const parts = model.get("parts");
  const smoothing = model.get("smoothing");
  return [
    ...AXES.flatMap((name) => {
      const axis = scene.axes[name];
      const { log, from, to } = axis;
      const causes = [log, from, to];
      // The axis first: bqplot writes the ticks a moment after a scale has changed, but in the
      // format of that time.
      return [
        {
          ref: parts[`${name}_axis`],
          causes,
          state: () => axisState(axis),
        },
        { ref: parts[name], causes, state: () => ({ min: from, max: to }) },
      ];
    }),
    ...scene.traces.flatMap((trace) => lineUpdates(trace, scene, smoothing)),
  ];
}

function axisState({ log, seen }: Axis): Record<string, unknown> {
  if (!log) {
    return { tick_labels: null, tick_values: evenTicks(seen.from, seen.to) };
  }
  const ticks = logTicks(seen);
  return {
    tick_labels: Object.fromEntries(ticks.map(({ place, label }) => [String(place), label])),
    tick_values: ticks.map(({ place }) => place),
  };
}

function lineUpdates(trace: Trace, scene: Scene, smoothing: number): Update[] {
  const [measured, smoothed] = trace.spec.marks;
  const { axes, view, all } = scene;
  const logs = { x: axes.steps.log, y: axes[trace.spec.axis].log };
  // Of a line that is wholly in view nothing has to be cut off anew whenever the run grows.
  const cut = view.from > all.from || view.to < all.to;
  const place = (points: Points): Points => {
    if (trace.hidden) return NO_POINTS;
    const shown = cut ? clip(points, view.from, view.to) : points;
    return placed(trace.spec.marker ? shown : asTick(shown), logs);
  };
  const causes = [
    trace.data,
    trace.hidden,
    logs.x,
    logs.y,
    cut,
    cut && view.from,
    cut && view.to,
    smoothing,
  ];
  const isSmooth = smoothing > 0 && smoothed !== undefined;
  const full = trace.spec.run ? PAST : 1;
  const lines: Update[] = [];
  if (measured !== undefined) {
    lines.push({
      ref: measured,
      causes,
      state: () => ({ ...place(trace.points), opacities: [isSmooth ? FAINT : full] }),
    });
  }
  if (smoothed !== undefined) {
    lines.push({
      ref: smoothed,
      causes,
      state: () => ({
        ...(isSmooth ? place(smooth(trace.means, smoothing)) : NO_POINTS),
        opacities: [full],
      }),
    });
  }
  return lines;
}

/** The points on the axes; what a logarithmic axis cannot show is left out. */
function placed({ x, y }: Points, log: { x: boolean; y: boolean }): Points {
  if (!log.x && !log.y) return { x, y };
  const shown = x.map((_, i) => i).filter((i) => !log.y || (y[i] ?? 0) > 0);
  return {
    x: Float32Array.from(shown, (i) => toAxis(x[i] ?? 0, log.x)),
    y: Float32Array.from(shown, (i) => toAxis(y[i] ?? 0, log.y)),
  };
}

/** A line of one point as a short dash. */
function asTick(points: Points): Points {
  const [x, ...others] = points.x;
  const [y] = points.y;
  if (x === undefined || y === undefined || others.length > 0) return points;
  return { x: Float32Array.of(x, x + TICK), y: Float32Array.of(y, y) };
}

/**
 * Draws the scene with bqplot: puts points into its lines and ends into its scales.
 *
 * This happens in the browser, once for all views, so that zooming, smoothing and log axes work at
 * once. What is put in is not sent to the kernel, which knows it anyway.
 */

import { ticksOf, type Axis } from "./axis";
import { isCut, measuredLine, smoothLine } from "./lines";
import { AXES, PICTURED, type ChartModel } from "./model";
import { readScene, type Scene, type Trace } from "./scene";
import { observe } from "../shared/observe";

/** A model of ipywidgets, as far as it is needed here. */
interface Widget {
  /** Takes over a state as if it came from the kernel. */
  set_state(state: Record<string, unknown>): unknown;
}

/** What a reference to a model begins with. */
const PREFIX = "IPY_MODEL_";

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

function axisState(axis: Axis): Record<string, unknown> {
  const ticks = ticksOf(axis);
  return {
    // Without labels bqplot writes the numbers.
    tick_labels: axis.log
      ? Object.fromEntries(ticks.map(({ place, label }) => [String(place), label]))
      : null,
    tick_values: ticks.map(({ place }) => place),
  };
}

function lineUpdates(trace: Trace, scene: Scene, smoothing: number): Update[] {
  const { axes, view } = scene;
  const cut = isCut(scene);
  const causes = [
    trace.data,
    trace.hidden,
    axes.steps.log,
    axes[trace.spec.axis].log,
    cut,
    cut && view.from,
    cut && view.to,
    smoothing,
  ];
  return [measuredLine, smoothLine].flatMap((lineOf, index) => {
    const ref = trace.spec.marks[index];
    if (ref === undefined) return [];
    const state = (): Record<string, unknown> => {
      const { points, opacity } = lineOf(trace, scene, smoothing);
      return { ...points, opacities: [opacity] };
    };
    return [{ ref, causes, state }];
  });
}

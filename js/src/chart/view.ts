import { h, setText, uniquePrefix } from "../shared/dom";
import { observe } from "../shared/observe";
import { createControls } from "./controls";
import { formatCount, formatValue } from "./format";
import { createLegend } from "./legend";
import { AXES, PICTURED, type ChartModel, type ChartTraits } from "./model";
import { createPlot } from "./plot";
import { createReader } from "./reader";
import { listed, readScene, valueOf, type Scene } from "./scene";
import { createTable } from "./table";
import { panned, windowBetween, zoomed, type Window } from "./window";

/** Milliseconds after a change in which the kernel is told. */
const LATER = 150;

/** Everything around the figure, in `place`, until `signal` aborts. */
export function createView(model: ChartModel, place: HTMLElement, signal: AbortSignal): void {
  let scene: Scene = readScene((trait) => model.get(trait));
  let pointed: number | null = null;
  let kept: number | null = null;
  let dragged: Scene = scene;
  let frame = 0;
  let timer = 0;

  const save = (): void => {
    timer = 0;
    model.save_changes();
  };
  const change = <K extends keyof ChartTraits>(trait: K, value: ChartTraits[K]): void => {
    model.set(trait, value);
    if (timer === 0) timer = window.setTimeout(save, LATER);
  };
  const look = (next: Window): void => {
    change("window", next);
  };
  const reset = (): void => {
    kept = null;
    look(null);
    updateSoon();
  };

  const prefix = uniquePrefix();
  const controls = createControls(prefix, {
    log(axis, on) {
      const others = model.get("log_axes").filter((name) => name !== axis);
      change("log_axes", on ? [...others, axis] : others);
    },
    smoothing(weight) {
      change("smoothing", weight);
    },
    zoom(factor) {
      look(zoomed(scene, factor));
    },
    pan(share) {
      look(panned(scene, share));
    },
    reset,
    quantity(label) {
      change("quantity", label);
    },
  });
  const plot = createPlot(model.get("margins"), model.get("axis_labels"), {
    point(step) {
      pointed = step;
      updateSoon();
    },
    choose(one, other) {
      look(windowBetween(scene, one, other));
    },
    drag(share, begins) {
      if (begins) dragged = scene;
      look(panned(dragged, -share));
    },
    zoom(factor, step) {
      look(zoomed(scene, factor, step));
    },
    reset,
  });
  const reader = createReader(prefix, (step) => {
    kept = step;
    updateSoon();
  });
  const legend = createLegend((name, hidden) => {
    const others = model.get("hidden").filter((each) => each !== name);
    change("hidden", hidden ? [...others, name] : others);
  });
  const table = createTable();
  const summary = h("p", { class: "sp-chart-summary" });
  place.append(
    controls.element,
    summary,
    plot.element,
    legend.element,
    reader.element,
    controls.smoothing,
    table.element,
  );

  /** The step that is read: under the pointer, or else the one that was chosen. */
  const readStep = (): number | null => {
    const step = pointed ?? kept;
    if (step === null) return null;
    return Math.round(Math.min(Math.max(step, scene.view.from), scene.view.to));
  };

  const update = (): void => {
    frame = 0;
    scene = readScene((trait) => model.get(trait));
    const step = readStep();
    plot.show(scene.axes, step);
    legend.show(scene, step);
    controls.show({
      log: AXES.filter((name) => scene.axes[name].log),
      quantities: scene.traces.some(({ spec }) => spec.run) ? model.get("quantities") : [],
      quantity: model.get("quantity"),
      smoothing: model.get("smoothing"),
      whole: model.get("window") === null,
    });
    reader.show(
      scene.view,
      kept === null ? null : step,
      step === null ? "no step" : inWords(scene, step),
    );
  };
  const updateSoon = (): void => {
    if (frame === 0 && !signal.aborted) frame = requestAnimationFrame(update);
  };

  update();
  observe(model, [...PICTURED, "quantities", "quantity"], updateSoon, signal);
  observe(
    model,
    ["table", "summary"],
    () => {
      table.show(model.get("table"));
      setText(summary, model.get("summary"));
    },
    signal,
  );
  signal.addEventListener(
    "abort",
    () => {
      cancelAnimationFrame(frame);
      if (timer !== 0) {
        window.clearTimeout(timer);
        save();
      }
    },
    { once: true },
  );
}

function inWords(scene: Scene, step: number): string {
  const values = listed(scene)
    .filter((trace) => !trace.hidden)
    .map((trace) => `${trace.name} ${formatValue(trace.spec, valueOf(trace, step))}`);
  return [`Step ${formatCount(step)}`, ...values].join(", ");
}

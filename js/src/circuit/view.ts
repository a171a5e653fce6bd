import { h, setText } from "../shared/dom";
import { observe } from "../shared/observe";
import { topCircuit, shownSize, type Circuit } from "./top-circuit";
import { createControls } from "./controls";
import { createDetails, edgesOf } from "./details";
import { readGraph, spotName } from "./graph";
import { layOut, withEnds, type Layout } from "./layout";
import { createLegend } from "./legend";
import type { CircuitModel, CircuitTraits, Port } from "./model";
import { createNodes } from "./nodes";
import { isDrawn, type Scene } from "./draw-edges";
import { createPalette } from "./palette";
import { createCanvases } from "./canvases";
import { rankEdges, readScores } from "./ranking";
import { readPin, searchNodes, type Target } from "./search";
import { createTable } from "./table";

/** Milliseconds after a change in which the slow things follow: names, tables, the kernel. */
const LATER = 200;

/** What has to be done anew, from the first to the last; each includes those after it. */
enum Stage {
  Scores,
  Circuit,
  Layout,
  Picture,
  Focus,
  Density,
  Nothing,
}

/** Shows one graph in `place`, until `signal` aborts. */
export function createView(
  model: CircuitModel,
  place: HTMLElement,
  prefix: string,
  signal: AbortSignal,
): void {
  const graph = readGraph(model.get("graph"));
  const known = graph.data.official?.length ?? null;
  const hasPorts = graph.data.destinations.some(({ port }) => port !== "");

  let scores: Float32Array = new Float32Array(0);
  let strongest = 0;
  let hasNegative = false;
  /** For each edge the share of runs that it is in; empty: nothing is known of them. */
  let frequencies: Float32Array = new Float32Array(0);
  let order: Uint32Array = new Uint32Array(0);
  let circuit: Circuit = topCircuit(graph, order, 0);
  let layout: Layout | null = null;
  let available = 0;
  let pointed: number | null = null;
  let focused: number | null = null;

  // What a person does changes traits; the traits change the picture.
  const change = <K extends keyof CircuitTraits>(trait: K, value: CircuitTraits[K]): void => {
    if (model.get(trait) === value) return;
    model.set(trait, value);
    saving = true;
    later();
  };
  const pin = (spot: number, port: Port): void => {
    change("pinned", spotName(graph, spot) + (port ? `.${port}` : ""));
  };
  const unpin = (): void => {
    change("pinned", "");
  };

  const controls = createControls(prefix, {
    size: (size) => {
      change("n_edges", size);
    },
    onlyPaths: (on) => {
      change("only_paths", on);
    },
    compare: (on) => {
      change("compare", on);
    },
    search: (query) => {
      change("search", query);
    },
    next() {
      const { spots, port } = found();
      const after = spots.indexOf(pinned()?.spot ?? -1);
      const spot = spots[(after + 1) % spots.length];
      if (spot !== undefined) pin(spot, port);
    },
  });
  const nodes = createNodes(graph, {
    point(spot) {
      if (spot === pointed) return;
      pointed = spot;
      invalidate(Stage.Focus);
    },
    focus(spot) {
      focused = spot;
      invalidate(Stage.Focus);
    },
    pin(spot) {
      if (pinned()?.spot === spot) unpin();
      else pin(spot, "");
    },
    escape: unpin,
  });
  const picture = createCanvases(nodes.element);
  const details = createDetails(pin, unpin);
  const legend = createLegend();
  const table = createTable(() => {
    invalidate(Stage.Focus);
    later();
  });
  const empty = h("p", { class: "spc-empty" });
  const scroller = h("div", { class: "spc-scroller" }, picture.element);
  const palette = createPalette(() => {
    colours = null;
    invalidate(Stage.Picture);
  }, signal);
  let colours: Scene["palette"] | null = null;
  place.append(
    h(
      "div",
      { class: "spc-frame" },
      controls.element,
      h(
        "div",
        { class: "spc-body" },
        h("div", { class: "spc-stage" }, scroller, empty),
        details.element,
      ),
      legend.element,
      table.element,
      palette.element,
    ),
  );

  const scene = (laidOut: Layout): Scene => ({
    graph,
    layout: laidOut,
    circuit,
    scores,
    shades: showsFrequencies() ? frequencies : scores,
    darkest: showsFrequencies() ? 1 : strongest,
    palette: (colours ??= palette.read()),
    onlyPaths: model.get("only_paths"),
    compare: comparing(),
    left: scroller.scrollLeft,
  });
  const showsFrequencies = (): boolean => frequencies.length > 0;
  const comparing = (): boolean => known !== null && model.get("compare");

  // Asked for in every frame, and slow with thousands of nodes.
  const found = remembered(
    (query: string) => searchNodes(graph, query),
    () => model.get("search"),
  );
  const pinned = remembered(
    (pin: string) => readPin(graph, pin),
    () => model.get("pinned"),
  );

  /** The node whose edges are in view: under the pointer, focused, pinned, or the one found. */
  const target = (): Target | null => {
    const spot = pointed ?? (pinned() ? null : focused);
    if (spot !== null) return { spot, port: "" };
    const { spots, port } = found();
    const [only] = spots;
    return pinned() ?? (only !== undefined && spots.length === 1 ? { spot: only, port } : null);
  };

  // One frame does what the latest changes made necessary, once.
  let stale: Stage = Stage.Nothing;
  let frame = 0;
  const invalidate = (stage: Stage): void => {
    if (signal.aborted) return;
    if (stage < stale) stale = stage;
    if (frame === 0) frame = requestAnimationFrame(update);
  };
  const update = (): void => {
    frame = 0;
    const stage = stale;
    stale = Stage.Nothing;
    if (stage <= Stage.Scores) takeScores();
    if (stage <= Stage.Circuit) takeCircuit();
    if (available > 0) {
      const before = layout;
      if (stage <= Stage.Layout) takeLayout();
      if (layout) {
        const now = scene(layout);
        if (stage <= Stage.Picture) {
          picture.draw(now, layout !== before);
          nodes.mark(circuit, now.compare);
          showLegend(now);
        }
        if (stage <= Stage.Focus) showFocus(now);
        if (picture.refine(now, stage === Stage.Density)) invalidate(Stage.Density);
      }
    }
    if (stage <= Stage.Focus) later();
  };

  const takeScores = (): void => {
    scores = readScores(model.get("scores"));
    if (scores.length !== graph.nEdges) scores = new Float32Array(0);
    order = rankEdges(scores);
    const [first] = order;
    strongest = first === undefined ? 0 : Math.abs(scores[first] ?? 0);
    hasNegative = scores.some((score) => score < 0);
    frequencies = readScores(model.get("frequencies"));
    if (frequencies.length !== graph.nEdges) frequencies = new Float32Array(0);
  };

  const takeCircuit = (): void => {
    const chosen = model.get("n_edges");
    const training = model.get("training_edges");
    circuit = topCircuit(graph, order, shownSize(chosen, training, known, order.length));
    setText(
      empty,
      order.length === 0
        ? "No scores yet."
        : model.get("only_paths") && circuit.nAlive === 0
          ? "No edge of this circuit lies on a path from input to output."
          : "",
    );
    const query = model.get("search").trim();
    controls.show({
      size: circuit.size,
      most: graph.nEdges,
      hasScores: order.length > 0,
      follows: training === null ? null : chosen === null,
      onlyPaths: model.get("only_paths"),
      compare: known === null ? null : model.get("compare"),
      search: model.get("search"),
      found: query === "" ? null : found().spots.length,
    });
  };

  const takeLayout = (): void => {
    const wanted = wantedSpots();
    const same =
      layout?.available === available && layout.shown.every((one, spot) => one === wanted[spot]);
    if (same) return;
    layout = layOut(graph, wanted, available);
    picture.place(layout, graph.data.positions);
    nodes.place(layout);
  };

  const showLegend = (now: Scene): void => {
    legend.show({
      hasScores: order.length > 0,
      strongest,
      hasNegative,
      frequencies: showsFrequencies(),
      hasPorts,
      lettered: now.layout.lettered,
      hasIdle: !now.onlyPaths && circuit.nCarrying < circuit.size,
      carries: circuit.moves.length > 0,
      verdicts: now.compare
        ? {
            hit: circuit.hits,
            miss: circuit.misses.length,
            extra: circuit.size - circuit.hits,
          }
        : null,
      auroc: model.get("auroc"),
    });
  };

  const wantedSpots = (): Uint8Array => {
    if (!model.get("only_paths") || order.length === 0) {
      return new Uint8Array(graph.nSpots).fill(1);
    }
    const wanted = circuit.alive.slice();
    if (comparing()) circuit.missed.forEach((one, spot) => (wanted[spot] ||= one));
    const kept = pinned();
    if (kept) wanted[kept.spot] = 1;
    return withEnds(graph, wanted);
  };

  const showFocus = (now: Scene): void => {
    const shown = target();
    const edges = shown ? edgesOf(graph, circuit, shown, now.compare) : [];
    const drawn = edges.filter((edge) => isDrawn(now, edge));
    const linked = shown
      ? new Set([
          shown.spot,
          ...drawn.flatMap((edge) => [graph.from[edge] ?? 0, graph.to[edge] ?? 0]),
        ])
      : null;
    picture.highlight(now, shown && drawn);
    nodes.highlight(pinned()?.spot ?? null, found().spots, linked);
    details.show({
      graph,
      circuit,
      scores,
      target: shown,
      edges,
      pinned: shown !== null && shown.spot === pinned()?.spot,
      compare: now.compare,
    });
  };

  let saving = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  // The changes until then are caught up with together; a training changes something all the time.
  const later = (): void => {
    if (!signal.aborted) timer ??= setTimeout(catchUp, LATER);
  };
  const catchUp = (): void => {
    timer = undefined;
    nodes.name(circuit);
    table.show(graph, circuit, scores, showsFrequencies() ? frequencies : null, comparing());
    save();
  };
  const save = (): void => {
    if (saving) model.save_changes();
    saving = false;
  };

  const sizes = new ResizeObserver(() => {
    if (scroller.clientWidth === available) return;
    available = scroller.clientWidth;
    invalidate(Stage.Layout);
  });
  sizes.observe(scroller);
  scroller.addEventListener("scroll", () => {
    invalidate(Stage.Picture);
  });
  // Another zoom or another screen has other pixels.
  window.addEventListener(
    "resize",
    () => {
      invalidate(Stage.Picture);
    },
    { signal },
  );
  signal.addEventListener(
    "abort",
    () => {
      sizes.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      save();
    },
    { once: true },
  );

  const on = (stage: Stage, ...traits: (keyof CircuitTraits)[]): void => {
    observe(
      model,
      traits,
      () => {
        invalidate(stage);
      },
      signal,
    );
  };
  on(Stage.Scores, "scores", "frequencies");
  on(Stage.Circuit, "n_edges", "training_edges", "auroc", "only_paths", "compare");
  on(Stage.Circuit, "search");
  on(Stage.Layout, "pinned");
}

/** A function of a text that is computed only when the text has changed. */
function remembered<T>(compute: (text: string) => T, read: () => string): () => T {
  let text = read();
  let value = compute(text);
  return () => {
    const now = read();
    if (now !== text) [text, value] = [now, compute(now)];
    return value;
  };
}

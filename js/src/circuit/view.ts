import { h, setText } from "../shared/dom";
import { observe } from "../shared/observe";
import { KNOWN } from "../generated/measures";
import { hasKernel } from "../shared/kernel";
import { topCircuit, shownSize, type Circuit } from "./top-circuit";
import { createControls } from "./controls";
import { createDetails, edgesOf } from "./details";
import { circuitKey, Effects } from "./effects";
import { readGraph, spotName } from "./graph";
import { createGroups, regrouped } from "./groups";
import { layOut, withEnds, type Layout } from "./layout";
import { createLegend } from "./legend";
import type { CircuitModel, CircuitTraits, Port } from "./model";
import { createNames, edgeName } from "./names";
import { createNodes } from "./nodes";
import { isDrawn, isPlaced, rampOf, type Scene } from "./draw-edges";
import { createPalette } from "./palette";
import { createCanvases } from "./canvases";
import { rankEdges, readScores } from "./ranking";
import { readPin, searchNodes, type Target } from "./search";
import { edited, nextSwitch, type Edited } from "./switches";
import { createTable } from "./table";
import { createWhatIf } from "./what-if";

/** Milliseconds after a change in which the slow things follow: names, tables, the kernel. */
const LATER = 200;

/** Milliseconds that the pointer rests on an edge before its effect is asked for. */
const REST = 350;

const NEEDS_KERNEL = "needs a kernel";

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
  const names = createNames(graph);
  const known = graph.data.official?.length ?? null;
  const hasPorts = graph.data.destinations.some(({ port }) => port !== "");

  let scores: Float32Array = new Float32Array(0);
  let hasNegative = false;
  /** For each edge the share of runs that it is in; empty: nothing is known of them. */
  let frequencies: Float32Array = new Float32Array(0);
  let order: Uint32Array = new Uint32Array(0);
  let cut = 0;
  /** The circuit that the slider cuts, and what is switched by hand. */
  let edit: Edited = edited(names, order, 0, []);
  let circuit: Circuit = topCircuit(graph, order, 0, null);
  /** All edges by their importance in the circuit that is compared with; empty: there is none. */
  let otherOrder: Uint32Array = new Uint32Array(0);
  const effects = new Effects();
  let layout: Layout | null = null;
  let available = 0;
  let fill: number | null = null;
  let laidOutFor: number | null = null;
  let pointed: number | null = null;
  let focused: number | null = null;
  let pointer: { x: number; y: number } | null = null;

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
  /** Changes what is switched, and lets the kernel know at once. */
  const rewrite = (switches: string[], undone: string[]): void => {
    model.set("switches", switches);
    model.set("undone", undone);
    saving = true;
    save();
  };
  const toggle = (name: string): void => {
    if (order.length === 0 || name === "") return;
    const switches = model.get("switches");
    rewrite([...switches, nextSwitch(names, switches, circuit.included, name)], []);
  };
  const undo = (): void => {
    const switches = model.get("switches");
    const last = switches.at(-1);
    if (last !== undefined) rewrite(switches.slice(0, -1), [...model.get("undone"), last]);
  };
  const redo = (): void => {
    const undone = model.get("undone");
    const last = undone.at(-1);
    if (last !== undefined) rewrite([...model.get("switches"), last], undone.slice(0, -1));
  };
  const whatIf = createWhatIf(prefix, {
    undo,
    redo,
    reset() {
      rewrite([], [...model.get("undone"), ...[...model.get("switches")].reverse()]);
    },
    keep(name) {
      // With what it is of: a change of traits may still wait for its turn, a message never does.
      model.send({ type: "keep", name, size: cut, switches: model.get("switches") });
    },
  });
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
    compare: (name) => {
      change("compare", name);
      save();
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
    over(place) {
      if (pointer === place) return;
      pointer = place;
      invalidate(Stage.Focus);
    },
    press(place, also) {
      const edge = picture.edgeAt(place.x, place.y);
      if (edge === null) return;
      const name = edgeName(graph, edge);
      if (also) toggle(name);
      else if (model.get("pinned") === name) unpin();
      else change("pinned", name);
    },
    toggle(spot) {
      toggle(spotName(graph, spot));
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
  const groups = createGroups();
  const picture = createCanvases(groups.element, nodes.element);
  const details = createDetails(prefix, {
    pin(name) {
      change("pinned", name);
    },
    unpin,
    toggle,
    gather(node, name) {
      model.set("groups", regrouped(model.get("groups"), node, name));
      saving = true;
      save();
    },
    annotate(name, note) {
      const noted = model.get("groups").map((one) => (one.name === name ? { ...one, note } : one));
      model.set("groups", noted);
      saving = true;
      save();
    },
  });
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
  const frame = h(
    "div",
    // JupyterLab would take the letters for commands on cells.
    { class: "spc-frame", "data-lm-suppress-shortcuts": "true" },
    controls.element,
    whatIf.element,
    h(
      "div",
      { class: "spc-body" },
      h("div", { class: "spc-stage" }, scroller, empty),
      details.element,
    ),
    legend.element,
    table.element,
    palette.element,
  );
  place.append(frame);
  frame.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || target instanceof HTMLInputElement)
      return;
    if (key === "x" || key === "X") toggle(model.get("pinned"));
    else if (key === "z") undo();
    else if (key === "y" || key === "Z") redo();
    else return;
    event.preventDefault();
  });

  const scene = (laidOut: Layout): Scene => ({
    graph,
    layout: laidOut,
    circuit,
    edited: edit,
    scores,
    shades: showsFrequencies() ? frequencies : scores,
    ramp: showsFrequencies()
      ? [0, 1]
      : rampOf({ circuit, onlyPaths: model.get("only_paths") }, scores),
    palette: (colours ??= palette.read()),
    onlyPaths: model.get("only_paths"),
    left: scroller.scrollLeft,
  });
  const showsFrequencies = (): boolean => frequencies.length > 0;
  /** For each edge 1 if it is in the circuit that this one is compared with; null: with none. */
  const reference = (): Uint8Array | null => {
    const name = model.get("compare");
    if (name === KNOWN) return graph.official;
    if (name === "" || otherOrder.length === 0) return null;
    const marks = new Uint8Array(graph.nEdges);
    for (const edge of otherOrder.subarray(0, model.get("other_size") ?? cut)) marks[edge] = 1;
    return marks;
  };

  // Asked for in every frame, and slow with thousands of nodes.
  const found = remembered(
    (query: string) => searchNodes(graph, query),
    () => model.get("search"),
  );
  const pinned = remembered(
    (pin: string) => (names.edge(pin) === null ? readPin(graph, pin) : null),
    () => model.get("pinned"),
  );
  /** The edge in view: under the pointer, or pinned. */
  const targetEdge = (): number | null => {
    if (pointed !== null) return null;
    const under = pointer && picture.edgeAt(pointer.x, pointer.y);
    return under ?? names.edge(model.get("pinned"));
  };

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
  let frameId = 0;
  const invalidate = (stage: Stage): void => {
    if (signal.aborted) return;
    if (stage < stale) stale = stage;
    if (frameId === 0) frameId = requestAnimationFrame(update);
  };
  const update = (): void => {
    frameId = 0;
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
          nodes.mark(circuit);
          groups.show(graph, layout, model.get("groups"));
          showLegend(now);
        }
        if (stage <= Stage.Focus) showFocus(now);
        if (picture.refine(now, stage === Stage.Density)) invalidate(Stage.Density);
      }
    }
    if (stage <= Stage.Focus) later();
  };

  const takeScores = (): void => {
    effects.clear();
    scores = readScores(model.get("scores"));
    if (scores.length !== graph.nEdges) scores = new Float32Array(0);
    order = rankEdges(scores);
    hasNegative = scores.some((score) => score < 0);
    const other = readScores(model.get("other"));
    otherOrder = rankEdges(other.length === graph.nEdges ? other : new Float32Array(0));
    frequencies = readScores(model.get("frequencies"));
    if (frequencies.length !== graph.nEdges) frequencies = new Float32Array(0);
  };

  const takeCircuit = (): void => {
    const chosen = model.get("n_edges");
    const training = model.get("training_edges");
    cut = shownSize(chosen, training, known, order.length);
    edit = edited(names, order, cut, model.get("switches"));
    circuit = topCircuit(graph, edit.order, edit.size, reference());
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
      size: cut,
      most: graph.nEdges,
      hasScores: order.length > 0,
      follows: training === null ? null : chosen === null,
      onlyPaths: model.get("only_paths"),
      leftOut: circuit.size - circuit.nCarrying,
      compare: model.get("compare"),
      comparable: model.get("comparable"),
      noOthers: hasKernel(place) ? "" : `Another circuit ${NEEDS_KERNEL}`,
      search: model.get("search"),
      found: query === "" ? null : found().spots.length,
    });
  };

  const takeLayout = (): void => {
    const wanted = wantedSpots();
    const same =
      layout?.available === available &&
      laidOutFor === fill &&
      layout.shown.every((one, spot) => one === wanted[spot]);
    if (same) return;
    layout = layOut(graph, wanted, available, fill);
    laidOutFor = fill;
    picture.place(layout, graph.data.positions);
    nodes.place(layout);
  };

  const showLegend = (now: Scene): void => {
    legend.show({
      hasScores: order.length > 0,
      ramp: now.ramp,
      hasNegative,
      frequencies: showsFrequencies(),
      hasPorts,
      lettered: now.layout.lettered,
      hasIdle: !now.onlyPaths && circuit.nCarrying < circuit.size,
      carries: circuit.moves.length > 0,
      off: edit.off.length,
      on: edit.changes?.reduce((sum, one) => sum + Math.max(0, one), 0) ?? 0,
      compare: model.get("compare"),
      verdicts: circuit.reference
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
    circuit.missed.forEach((one, spot) => (wanted[spot] ||= one));
    const kept = pinned();
    if (kept) wanted[kept.spot] = 1;
    const pinnedEdge = names.edge(model.get("pinned"));
    for (const edge of [...edit.off, ...(pinnedEdge === null ? [] : [pinnedEdge])]) {
      wanted[graph.from[edge] ?? 0] = wanted[graph.to[edge] ?? 0] = 1;
    }
    return withEnds(graph, wanted);
  };

  const showFocus = (now: Scene): void => {
    const edge = targetEdge();
    const shown = pointed === null && edge !== null ? pinned() : target();
    const edges = shown ? edgesOf(graph, circuit, shown, edit.off) : [];
    const drawn = edges.filter((each) => isDrawn(now, each));
    const ends = [...drawn, ...(edge === null ? [] : [edge])].flatMap((each) => [
      graph.from[each] ?? 0,
      graph.to[each] ?? 0,
    ]);
    const linked = shown ? new Set([shown.spot, ...ends]) : edge === null ? null : new Set(ends);
    picture.highlight(now, shown && drawn, edge !== null && isPlaced(now, edge) ? edge : null);
    nodes.highlight(pinned()?.spot ?? null, found().spots, linked);
    if (edge === null) {
      details.show({
        graph,
        circuit,
        scores,
        target: shown,
        edges,
        pinned: shown !== null && shown.spot === pinned()?.spot,
        changes: edit.changes,
        groups: model.get("groups"),
      });
    } else {
      details.showEdge({
        graph,
        circuit,
        scores,
        edge,
        rank: order.indexOf(edge) + 1,
        effect: effectOf(edge),
        pinned: edgeName(graph, edge) === model.get("pinned"),
      });
    }
    askAbout(edge);
    showWhatIf();
  };

  /** What switching an edge alone changes, as far as it is known. */
  const effectOf = (edge: number): string => {
    const key = circuitKey(cut, model.get("switches"));
    const name = edgeName(graph, edge);
    const { note } = model.get("measured");
    const what = circuit.included[edge] ? "Without it" : "With it";
    if (effects.knowsEdge(key, name)) return `${what}: ${effects.ofEdge(key, name)}`;
    if (!hasKernel(place)) return `${what}: KL ${NEEDS_KERNEL}`;
    return note || `${what}: ${effects.ofEdge(key, name)}`;
  };

  // The kernel is asked where the pointer rests: not about every edge that it passes.
  let asking: ReturnType<typeof setTimeout> | undefined;
  let resting: number | null = null;
  const askAbout = (edge: number | null): void => {
    if (edge === resting) return;
    resting = edge;
    clearTimeout(asking);
    if (edge === null) change("asked", "");
    if (edge === null || order.length === 0) return;
    asking = setTimeout(() => {
      change("asked", edgeName(graph, edge));
      save();
    }, REST);
  };

  const showWhatIf = (): void => {
    const switches = model.get("switches");
    const alive = hasKernel(place);
    whatIf.show({
      switches: switches.length,
      undone: model.get("undone").length,
      effect: effects.ofCircuit(circuitKey(cut, switches)),
      note: alive ? model.get("measured").note : `KL ${NEEDS_KERNEL}`,
      unkept: alive ? "" : `Keeping it ${NEEDS_KERNEL}`,
      kept: model.get("kept"),
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
    nodes.name(circuit, model.get("groups"));
    const shares = showsFrequencies() ? frequencies : null;
    table.show(graph, circuit, scores, shares, edit.off);
    save();
  };
  const save = (): void => {
    if (saving) model.save_changes();
    saving = false;
  };

  const sizes = new ResizeObserver(() => {
    // Beside the chart the picture has the height that is left; alone it takes what it needs.
    const fills = getComputedStyle(scroller).getPropertyValue("--spc-fill") === "1";
    const height = fills ? scroller.clientHeight : null;
    if (scroller.clientWidth === available && height === fill) return;
    available = scroller.clientWidth;
    fill = height;
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
      cancelAnimationFrame(frameId);
      clearTimeout(timer);
      clearTimeout(asking);
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
  on(Stage.Scores, "scores", "frequencies", "other");
  on(
    Stage.Circuit,
    "n_edges",
    "training_edges",
    "auroc",
    "only_paths",
    "compare",
    "comparable",
    "other_size",
    "search",
    "switches",
  );
  on(Stage.Layout, "pinned", "groups", "undone", "kept");
  observe(
    model,
    ["measured"],
    () => {
      effects.take(model.get("measured"));
      invalidate(Stage.Focus);
    },
    signal,
  );
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

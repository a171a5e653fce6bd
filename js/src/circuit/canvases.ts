import { h } from "../shared/dom";
import { EdgeFinder } from "./edge-at";
import { curveOf } from "./routes";
import { Density } from "./density";
import type { Layout } from "./layout";
import {
  crispEdges,
  drawCarrying,
  drawEdges,
  drawEmphasised,
  drawPorts,
  densityEdges,
  type Scene,
} from "./draw-edges";

/** Milliseconds of a frame for the density, beside other work and when there is none. */
const DENSITY_BESIDE = 6;
const DENSITY_ALONE = 12;

export interface Canvases {
  /** The canvases, the labels around them, and the boxes given to it. */
  element: HTMLElement;
  /** Takes the size of a layout, and writes the labels of its rows and columns. */
  place(layout: Layout, positions: readonly string[] | null): void;
  /** Draws the circuit; `moved`: the layout is another one than last time. */
  draw(scene: Scene, moved: boolean): void;
  /** Goes on with the density; `alone`: nothing else is done. Returns whether there is more to do. */
  refine(scene: Scene, alone: boolean): boolean;
  /**
   * Draws some edges over the others, which step back; null: none. `one`: an edge that stands out,
   * while the others stay as they are.
   */
  highlight(scene: Scene, edges: readonly number[] | null, one: number | null): void;
  /** The edge at a place of the picture, of those that stand out; null: there is none. */
  edgeAt(x: number, y: number): number | null;
}

/** Three layers: the density of weak edges, the strong edges, and those of the node in view. */
export function createCanvases(groups: HTMLElement, nodes: HTMLElement): Canvases {
  const canvas = (name: string): HTMLCanvasElement =>
    h("canvas", { class: `spc-canvas ${name}`, "aria-hidden": "true" });
  const behind = canvas("spc-behind");
  const front = canvas("spc-front");
  const over = canvas("spc-over");
  const rows = h("div", { class: "spc-row-labels", "aria-hidden": "true" });
  const columns = h("div", { class: "spc-column-labels", "aria-hidden": "true" });
  // As wide as what is in view, and always there: a wide picture would be slow to draw as a whole.
  const canvases = h("div", { class: "spc-canvases" }, behind, front, over);
  const element = h("div", { class: "spc-picture" }, rows, columns, canvases, groups, nodes);
  const density = new Density();
  let densityStale = false;
  /** All that the strong edges as they are drawn depend on. */
  let drawn: unknown[] = [];
  let highlighted = false;
  const finder = new EdgeFinder();

  /** Sizes a canvas; to the same size again would throw its picture away. */
  const resize = (target: HTMLCanvasElement, width: number, height: number): void => {
    if (target.width !== width) target.width = width;
    if (target.height !== height) target.height = height;
  };

  /** A cleared canvas, to be drawn on in the coordinates of the layout. */
  const begin = (
    target: HTMLCanvasElement,
    { layout, left }: Scene,
  ): CanvasRenderingContext2D | null => {
    const ratio = Math.max(1, window.devicePixelRatio);
    resize(target, Math.round(visibleWidth(layout) * ratio), Math.round(layout.height * ratio));
    const context = target.getContext("2d");
    context?.setTransform(1, 0, 0, 1, 0, 0);
    context?.clearRect(0, 0, target.width, target.height);
    context?.setTransform(ratio, 0, 0, ratio, -left * ratio, 0);
    return context;
  };

  return {
    element,
    place(layout, positions) {
      element.style.width = `${layout.width}px`;
      element.style.height = `${layout.height}px`;
      for (const part of [behind, front, over]) {
        part.style.width = `${visibleWidth(layout)}px`;
        part.style.height = `${layout.height}px`;
      }
      element.classList.toggle("spc-scrolling", layout.width > layout.available);
      rows.replaceChildren(
        ...layout.rows.map(({ block, y }) => {
          const text = layout.wordy ? `block ${block}` : String(block);
          const label = h("span", { class: "spc-row-label" }, text);
          label.style.top = `${y}px`;
          return label;
        }),
      );
      columns.replaceChildren(
        ...(positions === null
          ? []
          : layout.columns.map(({ position, x, width }) => {
              const text = positions[position] ?? "";
              const label = h(
                "span",
                { class: "spc-column-label", title: text },
                h("span", {}, text),
              );
              label.style.left = `${x - layout.gap / 2}px`;
              label.style.width = `${width + layout.gap}px`;
              return label;
            })),
      );
    },
    draw(scene, moved) {
      const { layout, graph } = scene;
      const edges = crispEdges(scene);
      const { left, palette } = scene;
      const inks = [
        layout,
        scene.scores,
        scene.shades,
        ...scene.ramp,
        palette,
        scene.circuit.reference,
        left,
        window.devicePixelRatio,
      ];
      const next = [
        ...inks,
        ...scene.circuit.moves.flat(),
        ...edges,
        ...edges.map((edge) => scene.circuit.carrying[edge]),
        ...edges.map((edge) => scene.edited.changes?.[edge]),
      ];
      densityStale ||= inks.some((one, i) => one !== drawn[i]);
      // A slider that moves among the weak edges leaves the strong ones as they are.
      if (next.length !== drawn.length || next.some((one, i) => one !== drawn[i])) {
        drawn = next;
        finder.take(edges, (edge) => curveOf(graph, layout, edge));
        const context = begin(front, scene);
        if (!context) return;
        drawCarrying(context, scene);
        drawEdges(context, scene, edges, true);
        drawPorts(context, scene, edges);
      }
      if (moved) density.reset(layout.width, layout.height, graph.nEdges);
      density.want(densityEdges(scene), scene.circuit.order);
    },
    refine(scene, alone) {
      const { graph, layout } = scene;
      const changed = density.work(
        (edge) => curveOf(graph, layout, edge),
        alone ? DENSITY_ALONE : DENSITY_BESIDE,
      );
      const context = behind.getContext("2d");
      if (context && (changed || densityStale)) {
        densityStale = false;
        resize(behind, Math.ceil(visibleWidth(layout)), Math.ceil(layout.height));
        density.paint(context, scene.palette.density, Math.round(scene.left));
      }
      return !density.done;
    },
    highlight(scene, edges, one) {
      const nothing = edges === null && one === null;
      if (nothing && !highlighted) return;
      highlighted = !nothing;
      element.classList.toggle("spc-focusing", edges !== null);
      const context = begin(over, scene);
      if (!context) return;
      const weakestFirst = [...(edges ?? [])].reverse();
      drawEdges(context, scene, weakestFirst, true);
      drawPorts(context, scene, weakestFirst);
      if (one === null) return;
      drawEmphasised(context, scene, one);
      drawPorts(context, scene, [one]);
    },
    edgeAt: (x, y) => finder.at(x, y),
  };
}

function visibleWidth(layout: Layout): number {
  return Math.min(layout.width, layout.available);
}

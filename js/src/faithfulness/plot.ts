import { counted, formatCount } from "../circuit/format";
import { sizeAfterKey } from "../circuit/scale";
import { h, setAttribute } from "../shared/dom";
import { svg, text } from "../shared/svg";
import { followWidth } from "../shared/width";
import type { FaithfulnessTraits } from "./model";
import { HEIGHT, MARGIN, markedSize, sceneOf, sizeAt, type Scene } from "./scene";

export interface Plot {
  element: HTMLElement;
  show(traits: Pick<FaithfulnessTraits, "curves" | "most" | "n_edges" | "training_edges">): void;
}

/** The picture. It is a slider: a click, or the keys of a slider, choose a number of edges. */
export function createPlot(choose: (size: number) => void, signal: AbortSignal): Plot {
  const picture = svg("svg", { class: "spf-picture", "aria-hidden": "true" });
  const element = h(
    "div",
    {
      class: "spf-plot",
      role: "slider",
      tabindex: "0",
      "aria-label": "Edges in the circuit",
      // JupyterLab would take the arrow keys for commands on cells.
      "data-lm-suppress-shortcuts": "true",
    },
    picture,
  );
  let traits: Parameters<Plot["show"]>[0] | null = null;
  let width = 0;

  const draw = (): void => {
    if (!traits || width === 0) return;
    setAttribute(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    setAttribute(picture, "width", String(width));
    setAttribute(picture, "height", String(HEIGHT));
    picture.replaceChildren(...drawing(sceneOf(traits, width, formatCount)));
  };
  const measure = followWidth(
    element,
    (next) => {
      width = next;
      draw();
    },
    signal,
  );

  element.addEventListener("click", (event) => {
    if (!traits || element.closest("fieldset[disabled]")) return;
    const left = picture.getBoundingClientRect().left;
    choose(sizeAt(event.clientX - left, traits.most, width));
  });
  element.addEventListener("keydown", (event) => {
    if (!traits || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = sizeAfterKey(event.key, markedSize(traits) ?? 0, traits.most);
    if (next === null) return;
    event.preventDefault();
    choose(next);
  });

  return {
    element,
    show(next) {
      traits = next;
      const size = markedSize(next) ?? 0;
      setAttribute(element, "aria-valuemin", "0");
      setAttribute(element, "aria-valuemax", String(next.most));
      setAttribute(element, "aria-valuenow", String(size));
      const [first] = next.curves;
      const at = first?.circuit.filter(([edges]) => edges <= Math.max(1, size)).at(-1);
      const lost = at ? `, ${Number(at[1].toPrecision(3))} at ${counted(at[0], "edge")}` : "";
      setAttribute(element, "aria-valuetext", `${counted(size, "edge")}${lost}`);
      measure();
      draw();
    },
  };
}

function drawing(scene: Scene): SVGElement[] {
  const bottom = HEIGHT - MARGIN.bottom;
  const right = scene.width - MARGIN.right;
  return [
    ...scene.values.flatMap(({ at, label }) => [
      svg("line", { class: "spf-grid", x1: MARGIN.left, x2: right, y1: at, y2: at }),
      text(label, { class: "spf-tick", x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }),
    ]),
    ...scene.sizes.flatMap(({ at, label }) => [
      svg("line", { class: "spf-axis", x1: at, x2: at, y1: bottom, y2: bottom + 5 }),
      text(label, { class: "spf-tick", x: at, y: bottom + 18, "text-anchor": "middle" }),
    ]),
    svg("line", { class: "spf-axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
    text("Edges in the circuit", {
      class: "spf-label",
      x: (MARGIN.left + right) / 2,
      y: HEIGHT - 6,
      "text-anchor": "middle",
    }),
    svg("polygon", { class: "spf-band", points: path(scene.band) }),
    ...scene.lines.map(({ name, colour, dashes, width, points }) =>
      svg("polyline", {
        class: "spf-line",
        "data-name": name,
        points: path(points),
        stroke: colour,
        "stroke-width": width,
        "stroke-dasharray": dashes,
      }),
    ),
    ...(scene.mark === null
      ? []
      : [
          svg("line", {
            class: "spf-mark",
            x1: scene.mark,
            x2: scene.mark,
            y1: MARGIN.top,
            y2: bottom,
          }),
        ]),
  ];
}

function path(points: readonly [number, number][]): string {
  return points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
}

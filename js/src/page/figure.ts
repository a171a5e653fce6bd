/** Draws the scene of the chart where there is no bqplot. */

import { fractionOf, ticksOf, type Axis } from "../chart/axis";
import { DASHES, measuredLine, smoothLine, type Line } from "../chart/lines";
import { PICTURED, type ChartModel, type Margins, type TraceSpec } from "../chart/model";
import { readScene, type Scene } from "../chart/scene";
import { setAttribute, uniquePrefix } from "../shared/dom";
import { observe } from "../shared/observe";
import { svg, text } from "../shared/svg";
import { followWidth } from "../shared/width";

/** A diamond of four pixels around a point. */
const DIAMOND = "m0-4.5 4.5 4.5-4.5 4.5-4.5-4.5z";

/** Draws the chart in `place`, now and whenever it changes, until `signal` aborts. */
export function drawFigure(model: ChartModel, place: HTMLElement, signal: AbortSignal): void {
  const picture = svg("svg", { class: "spg-picture", "aria-hidden": "true" });
  const clip = uniquePrefix();
  place.append(picture);
  let width = 0;
  let frame = 0;

  const draw = (): void => {
    frame = 0;
    if (width === 0) return;
    const scene = readScene((trait) => model.get(trait));
    const height = place.clientHeight;
    setAttribute(picture, "width", String(width));
    setAttribute(picture, "height", String(height));
    picture.replaceChildren(
      ...drawing(scene, model.get("smoothing"), frameOf(model.get("margins"), width, height), clip),
    );
  };
  const drawSoon = (): void => {
    if (frame === 0 && !signal.aborted) frame = requestAnimationFrame(draw);
  };
  followWidth(
    place,
    (next) => {
      width = next;
      drawSoon();
    },
    signal,
  );
  observe(model, PICTURED, drawSoon, signal);
  signal.addEventListener(
    "abort",
    () => {
      cancelAnimationFrame(frame);
    },
    { once: true },
  );
}

/** The plot within the figure, in pixels. */
interface Frame {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function frameOf(margins: Margins, width: number, height: number): Frame {
  return {
    left: margins.left,
    right: width - margins.right,
    top: margins.top,
    bottom: height - margins.bottom,
  };
}

function drawing(scene: Scene, smoothing: number, frame: Frame, clip: string): SVGElement[] {
  const { left, right, top, bottom } = frame;
  const { steps } = scene.axes;
  const x = (place: number): number => left + share(steps, place) * (right - left);
  const y = (axis: Axis, place: number): number => bottom - share(axis, place) * (bottom - top);

  const lines = scene.traces.flatMap((trace) => {
    const axis = scene.axes[trace.spec.axis];
    return [measuredLine(trace, scene, smoothing), smoothLine(trace, scene, smoothing)].flatMap(
      (line) => drawn(trace.spec, line, x, (place) => y(axis, place)),
    );
  });
  return [
    ...(["left", "right"] as const).flatMap((name) =>
      ticksOf(scene.axes[name]).flatMap(({ place, label }) => {
        const at = y(scene.axes[name], place);
        return [
          svg("line", { class: "spg-grid", x1: left, x2: right, y1: at, y2: at }),
          text(label, { class: "spg-tick", x: left - 6, y: at + 4, "text-anchor": "end" }),
        ];
      }),
    ),
    ...ticksOf(steps).flatMap(({ place, label }) => [
      svg("line", { class: "spg-axis", x1: x(place), x2: x(place), y1: bottom, y2: bottom + 4 }),
      text(label, { class: "spg-tick", x: x(place), y: bottom + 17, "text-anchor": "middle" }),
    ]),
    svg("line", { class: "spg-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    svg("line", { class: "spg-axis", x1: left, x2: left, y1: top, y2: bottom }),
    svg(
      "clipPath",
      { id: clip },
      svg("rect", { x: left, y: top, width: right - left, height: bottom - top }),
    ),
    svg("g", { "clip-path": `url(#${clip})` }, ...lines),
  ];
}

/** Where a place in the units of an axis is along it, from 0 to 1. */
function share(axis: Axis, place: number): number {
  return fractionOf({ ...axis, log: false }, place);
}

function drawn(
  spec: TraceSpec,
  { points, opacity }: Line,
  x: (place: number) => number,
  y: (place: number) => number,
): SVGElement[] {
  if (points.x.length === 0) return [];
  const places = Array.from(points.x, (place, i): [string, string] => [
    x(place).toFixed(1),
    y(points.y[i] ?? 0).toFixed(1),
  ]);
  const [[x0, y0] = ["0", "0"], ...rest] = places;
  // A count changes at once, and stays until it changes again.
  const way = rest.map(([px, py]) => (spec.stepped ? `V${py}H${px}` : `L${px} ${py}`));
  const line = svg("path", {
    class: "spg-line",
    "data-name": spec.label,
    d: `M${x0} ${y0}${way.join("")}`,
    stroke: spec.colour,
    "stroke-width": spec.stroke_width,
    "stroke-dasharray": DASHES[spec.line_style],
    opacity,
  });
  if (!spec.marker) return [line];
  const marks = places.map(([px, py]) => `M${px} ${py}${DIAMOND}`).join("");
  return [line, svg("path", { d: marks, fill: spec.colour, opacity })];
}

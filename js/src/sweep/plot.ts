import { counted, formatCount, formatScore } from "../circuit/format";
import { HEIGHT, MARGIN, niceTicks, placeOf, sizeTicks } from "../faithfulness/scene";
import { h, setAttribute } from "../shared/dom";
import { svg, text, title } from "../shared/svg";
import { followWidth } from "../shared/width";
import type { SweepRow } from "./model";

export interface Plot {
  element: HTMLElement;
  show(rows: readonly SweepRow[], chosen: string): void;
}

interface Dot {
  row: SweepRow;
  edges: number;
  value: number;
}

/** What the circuits lose against their edges, with the Pareto front. A click on a dot chooses. */
export function createPlot(choose: (name: string) => void, signal: AbortSignal): Plot {
  const picture = svg("svg", { class: "sps-picture", role: "img" });
  const element = h("div", { class: "sps-plot" }, picture);
  let shown: { rows: readonly SweepRow[]; chosen: string } = { rows: [], chosen: "" };
  let width = 0;

  const draw = (): void => {
    const dots = dotsOf(shown.rows);
    element.hidden = dots.length === 0;
    if (dots.length === 0 || width === 0) return;
    setAttribute(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    setAttribute(picture, "width", String(width));
    setAttribute(picture, "height", String(HEIGHT));
    setAttribute(picture, "aria-label", inWords(dots));
    picture.replaceChildren(...drawing(dots, shown.chosen, width, choose));
  };
  const measure = followWidth(
    element,
    (next) => {
      width = next;
      draw();
    },
    signal,
  );
  return {
    element,
    show(rows, chosen) {
      shown = { rows, chosen };
      draw();
      measure();
    },
  };
}

function dotsOf(rows: readonly SweepRow[]): Dot[] {
  return rows.flatMap((row) =>
    row.edges === null || row.value === null ? [] : [{ row, edges: row.edges, value: row.value }],
  );
}

function inWords(dots: readonly Dot[]): string {
  const front = frontOf(dots).map(
    ({ edges, value }) => `${counted(edges, "edge")} lose ${formatScore(value)}`,
  );
  return `${counted(dots.length, "circuit")}. The Pareto front: ${front.join("; ")}.`;
}

function frontOf(dots: readonly Dot[]): Dot[] {
  return dots.filter(({ row }) => row.front).sort((a, b) => a.edges - b.edges);
}

function drawing(
  dots: readonly Dot[],
  chosen: string,
  width: number,
  choose: (name: string) => void,
): SVGElement[] {
  const most = Math.max(10, ...dots.map(({ edges }) => edges));
  const ticks = niceTicks(0, Math.max(...dots.map(({ value }) => value)));
  const high = ticks.at(-1) ?? 1;
  const bottom = HEIGHT - MARGIN.bottom;
  const right = width - MARGIN.right;
  const x = (edges: number): number => placeOf(edges, most, width);
  const y = (value: number): number =>
    MARGIN.top + (1 - value / Math.max(high, Number.MIN_VALUE)) * (bottom - MARGIN.top);
  const front = frontOf(dots);
  return [
    ...ticks.flatMap((value) => [
      svg("line", { class: "sps-grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      text(String(Number(value.toPrecision(6))), {
        class: "sps-tick",
        x: MARGIN.left - 8,
        y: y(value) + 4,
        "text-anchor": "end",
      }),
    ]),
    ...sizeTicks(most, width).flatMap((size) => [
      svg("line", { class: "sps-axis", x1: x(size), x2: x(size), y1: bottom, y2: bottom + 5 }),
      text(formatCount(size), {
        class: "sps-tick",
        x: x(size),
        y: bottom + 18,
        "text-anchor": "middle",
      }),
    ]),
    svg("line", { class: "sps-axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
    text("Edges in the circuit", {
      class: "sps-label",
      x: (MARGIN.left + right) / 2,
      y: HEIGHT - 6,
      "text-anchor": "middle",
    }),
    svg("polyline", {
      class: "sps-front",
      points: front
        .map(({ edges, value }) => `${x(edges).toFixed(1)},${y(value).toFixed(1)}`)
        .join(" "),
    }),
    ...dots.map(({ row, edges, value }) => {
      const dot = svg("circle", {
        class: row.name === chosen ? "sps-dot sps-chosen" : "sps-dot",
        cx: x(edges),
        cy: y(value),
        r: row.name === chosen ? 7 : 5,
      });
      dot.append(
        title(`${row.fields.join(", ")}: ${counted(edges, "edge")}, ${formatScore(value)}`),
      );
      dot.addEventListener("click", () => {
        choose(row.name);
      });
      return dot;
    }),
  ];
}

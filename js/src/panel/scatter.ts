import { setAttribute } from "../shared/dom";
import { svg, text, title } from "../shared/svg";
import type { RunData } from "./model";

const WIDTH = 300;
const HEIGHT = 170;
const LEFT = 58;
const BOTTOM = 32;
const ROOM = 10;

export interface Scatter {
  element: SVGSVGElement;
  show(runs: RunData[]): void;
}

/** The runs with their hard circuit's faithfulness against its edges, both on a logarithmic axis. */
export function createScatter(): Scatter {
  const element = svg("svg", {
    class: "sp-scatter",
    viewBox: `0 0 ${String(WIDTH)} ${String(HEIGHT)}`,
    role: "img",
  });
  return {
    element,
    show(runs) {
      const measured = runs.flatMap((run) =>
        // Of two targets the numbers are no rivals: those of the latest run count.
        run.faithfulness !== null &&
        run.faithfulness > 0 &&
        run.edges > 0 &&
        run.target === runs.at(-1)?.target
          ? [{ ...run, faithfulness: run.faithfulness }]
          : [],
      );
      element.toggleAttribute("hidden", measured.length === 0);
      const target = measured[0]?.target ?? "";
      const listed = measured.map(
        ({ name, edges, faithfulness }) =>
          `${name}: ${String(edges)} edges, ${target} ${short(faithfulness)}`,
      );
      setAttribute(element, "aria-label", `${target} against edges. ${listed.join("; ")}`);
      if (measured.length === 0) return;
      const x = scale(
        measured.map(({ edges }) => edges),
        LEFT,
        WIDTH - ROOM,
      );
      const y = scale(
        measured.map(({ faithfulness }) => faithfulness),
        HEIGHT - BOTTOM,
        ROOM,
      );
      const base = HEIGHT - BOTTOM;
      element.replaceChildren(
        svg("path", {
          class: "sp-scatter-axis",
          d: `M${String(LEFT)} ${String(ROOM)}V${String(base)}H${String(WIDTH - ROOM)}`,
        }),
        ...x.ends.map(({ value, place }, index) =>
          words(short(value), place, base + 13, index === 0 ? "start" : "end"),
        ),
        ...y.ends.map(({ value, place }) => words(short(value), LEFT - 4, place + 3, "end")),
        words("Edges in the circuit", (LEFT + WIDTH) / 2, HEIGHT - 4, "middle"),
        words(target, LEFT + 4, ROOM + 2, "start"),
        ...measured.map(({ name, edges, faithfulness, colour }) => {
          const [left, top] = [x.place(edges), y.place(faithfulness)];
          // On the side where there is room.
          const before = left > WIDTH / 2;
          return svg(
            "g",
            {},
            title(`${name}: ${String(edges)} edges, ${short(faithfulness)}`),
            svg("circle", { cx: left, cy: top, r: 4, fill: colour }),
            words(name, left + (before ? -7 : 7), top - 5, before ? "end" : "start"),
          );
        }),
      );
    },
  };
}

/** A logarithmic scale around the values, from one place to another. */
function scale(
  values: number[],
  from: number,
  to: number,
): { place: (value: number) => number; ends: { value: number; place: number }[] } {
  const logs = values.map(Math.log10);
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const room = Math.max(0.1, (high - low) * 0.08);
  const place = (value: number): number =>
    from + ((Math.log10(value) - low + room) / (high - low + 2 * room)) * (to - from);
  const ends = [...new Set([low, high])].map((power) => 10 ** power);
  return { place, ends: ends.map((value) => ({ value, place: place(value) })) };
}

function short(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

function words(content: string, x: number, y: number, anchor: string): SVGElement {
  return text(content, { x, y, "text-anchor": anchor });
}

import { h } from "../shared/dom";
import { svg } from "../shared/svg";
import type { CurveData } from "./model";
import { colourOf, dashesOf } from "./scene";

/** What the lines are; with the way of measuring where it is not the same for all. */
export function legendOf(curves: readonly CurveData[]): HTMLElement[] {
  const [first] = curves;
  if (!first) return [];
  const alike = curves.every(({ protocol }) => protocol === first.protocol);
  const entries = curves.map(({ name, protocol }, index) =>
    entry(line(colourOf(index), dashesOf(index)), alike ? name : `${name} (${protocol})`),
  );
  if (first.complement.length > 0) {
    entries.splice(1, 0, entry(line(colourOf(0), "2 4"), `Complement of ${lower(first.name)}`));
  }
  if (first.random.length > 0) {
    entries.push(entry(h("span", { class: "spf-band-swatch" }), "Random circuits"));
  }
  return entries;
}

function entry(swatch: Element, words: string): HTMLElement {
  return h("li", { class: "spf-entry" }, swatch, words);
}

function lower(name: string): string {
  return name === "This run" ? "this run" : name;
}

function line(colour: string, dashes: string): SVGElement {
  return svg(
    "svg",
    { class: "spf-swatch", viewBox: "0 0 28 8", "aria-hidden": "true" },
    svg("line", {
      x1: 0,
      x2: 28,
      y1: 4,
      y2: 4,
      stroke: colour,
      "stroke-width": 2.5,
      "stroke-dasharray": dashes,
    }),
  );
}

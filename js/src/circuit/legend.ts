import { KNOWN, PORT_DASHES, VERDICT_DASHES, VERDICT_LABELS } from "../generated/measures";
import { h, setText } from "../shared/dom";
import { svg } from "../shared/svg";
import type { Verdict } from "./top-circuit";
import { formatCount, formatScore } from "./format";
import { CARRYING_DASH, SWITCH_DASHES, type Ramp } from "./strokes";

export interface LegendState {
  hasScores: boolean;
  /** The values of the lightest and of the darkest shade. */
  ramp: Ramp;
  hasNegative: boolean;
  /** Whether the shades show in how many runs an edge is, instead of its score. */
  frequencies: boolean;
  hasPorts: boolean;
  /** Whether the ports in the picture carry their letters. */
  lettered: boolean;
  /** Whether edges of the circuit lie on no path. */
  hasIdle: boolean;
  /** Whether attention carries something from one token position to another. */
  carries: boolean;
  /** Edges that were switched by hand. */
  off: number;
  on: number;
  /** Edges of each verdict; null: nothing is compared. */
  verdicts: Record<Verdict, number> | null;
  /** The circuit that is compared with. */
  compare: string;
  auroc: number | null;
}

export interface Legend {
  element: HTMLElement;
  show(state: LegendState): void;
}

/** What the lines mean: scores by colour and width, or hits, misses and extras. */
export function createLegend(): Legend {
  const lowest = h("span", {});
  const highest = h("span", {});
  const bar = h("span", { class: "spc-ramp", "aria-hidden": "true" });
  const measure = h("span", {});
  const between = h("span", {});
  const scale = h("li", { class: "spc-key" }, measure, lowest, bar, highest, between);
  const verdicts = (Object.keys(VERDICT_LABELS) as Verdict[]).map((verdict) => {
    const count = h("b", { class: "spc-count" });
    const text = h("span", {}, VERDICT_LABELS[verdict]);
    const item = h(
      "li",
      { class: "spc-key" },
      sample(VERDICT_DASHES[verdict], `spc-sample-${verdict}`),
      text,
      count,
    );
    return { verdict, item, text, count };
  });
  const switched = (["off", "on"] as const).map((way) => {
    const count = h("b", { class: "spc-count" });
    const line = sample(SWITCH_DASHES[way], `spc-sample-${way}`);
    return { way, count, item: h("li", { class: "spc-key" }, line, `Switched ${way}`, count) };
  });
  const ports = (["Q", "K", "V"] as const).map((port) =>
    h("li", { class: "spc-key" }, sample(PORT_DASHES[port], "spc-sample-score"), port),
  );
  const order = h("li", { class: "spc-key" }, "Below a head: Q left, K middle, V right");
  const idle = h(
    "li",
    { class: "spc-key" },
    h("span", { class: "spc-sample-idle", "aria-hidden": "true" }),
    "On no path from input to output",
  );
  const carries = h(
    "li",
    { class: "spc-key" },
    sample(CARRYING_DASH, "spc-sample-carrying"),
    "Attention between tokens",
  );
  const score = h("b", { class: "spc-count" });
  const auroc = h(
    "li",
    { class: "spc-key", title: "The chance that a known edge scores above any other edge" },
    "AUROC",
    score,
  );
  const element = h(
    "ul",
    { class: "spc-legend", "aria-label": "Legend" },
    scale,
    ...verdicts.map(({ item }) => item),
    ...switched.map(({ item }) => item),
    ...ports,
    order,
    carries,
    idle,
    auroc,
  );

  return {
    element,
    show(state) {
      const compared = state.verdicts;
      element.hidden = !state.hasScores;
      scale.hidden = compared !== null || (state.ramp[1] === 0 && !state.frequencies);
      const signed = state.hasNegative && !state.frequencies;
      setText(measure, state.frequencies ? "In how many runs" : "Score");
      bar.classList.toggle("spc-ramp-signed", signed);
      const [weakest, strongest] = state.ramp;
      const low = signed ? `−${formatScore(strongest)}` : formatScore(weakest);
      setText(lowest, state.frequencies ? "none" : low);
      setText(highest, state.frequencies ? "all" : formatScore(strongest));
      setText(between, signed ? `from ±${formatScore(weakest)}` : "");
      const labels = state.compare === KNOWN ? VERDICT_LABELS : besides(state.compare);
      for (const { verdict, item, text, count } of verdicts) {
        item.hidden = compared === null;
        setText(text, labels[verdict]);
        setText(count, compared ? formatCount(compared[verdict]) : "");
      }
      for (const { way, item, count } of switched) {
        item.hidden = state[way] === 0;
        setText(count, formatCount(state[way]));
      }
      for (const port of ports) port.hidden = compared !== null || !state.hasPorts;
      order.hidden = !state.hasPorts || state.lettered;
      idle.hidden = !state.hasIdle;
      carries.hidden = !state.carries;
      auroc.hidden = state.auroc === null;
      setText(score, state.auroc === null ? "" : state.auroc.toFixed(3));
    },
  };
}

function besides(name: string): Record<Verdict, string> {
  return {
    hit: "Hits: in both",
    miss: `Misses: only in ${name}`,
    extra: "Extras: only here",
  };
}

/** A piece of line as the picture has it. */
function sample(dash: readonly number[], name: string): SVGElement {
  return svg(
    "svg",
    { class: `spc-sample ${name}`, viewBox: "0 0 34 8", "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 33, y1: 4, y2: 4, "stroke-dasharray": dash.join(" ") }),
  );
}

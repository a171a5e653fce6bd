import { counted, formatCount, formatScore } from "../circuit/format";
import { h, setText } from "../shared/dom";
import type { PredictionData, StripData, TokenData } from "./model";
import { visibleToken } from "./visible";

export interface Strip {
  element: HTMLElement;
  show(strip: StripData | null): void;
}

/** The tokens of a prompt pair, and what comes next in three runs. */
export function createStrip(): Strip {
  const tokens = h("ol", { class: "spp-tokens", "aria-label": "Tokens of the prompt pair" });
  const runs = h("div", { class: "spp-runs" });
  const distance = h("p", { class: "spp-muted" });
  const element = h("div", { class: "spp-strip" }, tokens, runs, distance);
  return {
    element,
    show(strip) {
      element.hidden = strip === null;
      if (!strip) return;
      tokens.replaceChildren(...strip.tokens.map(tokenOf));
      runs.replaceChildren(
        runOf("Whole model", strip.whole_model),
        runOf(`Circuit of ${edgesOf(strip)}`, strip.circuit),
        runOf("Corrupt run", strip.corrupt_run),
      );
      setText(distance, `On this prompt KL(model ‖ circuit) is ${formatScore(strip.kl_div)} nats.`);
    },
  };
}

/** The edges of a circuit in words: `23 edges, 2 switched by hand`. */
export function edgesOf({
  n_edges,
  n_switched,
}: Pick<StripData, "n_edges" | "n_switched">): string {
  const edited = n_switched ? `, ${formatCount(n_switched)} switched by hand` : "";
  return counted(n_edges, "edge") + edited;
}

function tokenOf({ clean, corrupt, differs }: TokenData): HTMLElement {
  if (!differs) return h("li", { class: "spp-token" }, visibleToken(clean));
  return h(
    "li",
    { class: "spp-token spp-differs" },
    h("span", { class: "spp-said" }, "clean "),
    h("span", { class: "spp-clean" }, visibleToken(clean)),
    h("span", { class: "spp-said" }, ", corrupt "),
    h("span", { class: "spp-corrupt" }, visibleToken(corrupt)),
  );
}

function runOf(title: string, predictions: readonly PredictionData[]): HTMLElement {
  return h(
    "table",
    { class: "spp-run" },
    h("caption", {}, title),
    h(
      "thead",
      { class: "spp-said" },
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Next token"),
        h("th", { scope: "col" }, "Probability"),
      ),
    ),
    h("tbody", {}, ...predictions.map(predictionOf)),
  );
}

function predictionOf({ text, probability, is_answer }: PredictionData): HTMLElement {
  const bar = h("span", { class: "spp-bar" });
  bar.style.width = `${(100 * probability).toFixed(1)}%`;
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: is_answer ? "spp-answer" : "" },
      visibleToken(text),
      ...(is_answer ? [h("span", { class: "spp-mark" }, " ✓"), said(" (answer)")] : []),
    ),
    h("td", {}, bar, h("span", { class: "spp-share" }, percent(probability))),
  );
}

function said(words: string): HTMLElement {
  return h("span", { class: "spp-said" }, words);
}

/** `81.2%`, `<0.1%`. */
export function percent(share: number): string {
  return share < 0.001 ? "<0.1%" : `${(100 * share).toFixed(1)}%`;
}

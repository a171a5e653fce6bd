import { h, setAttribute } from "../shared/dom";
import { visibleToken } from "./visible";

/** How much each query attends to each key. */
export interface Pattern {
  queries: number;
  keys: number;
  /** Row by row, a query each. */
  values: Float32Array;
  /** Of the keys; the last of them are the queries. */
  tokens: readonly string[];
}

export interface PatternView {
  element: HTMLElement;
  show(pattern: Pattern, name: string, marked: number): void;
  /** Draws anew in the colours of the theme. */
  redraw(): void;
}

const LARGEST_CELL = 20;
const LABEL_ROOM = 62;
const LABEL_LETTERS = 8;
/** Pixels: with smaller cells the names of tokens would lie over each other. */
const SMALLEST_NAMED = 11;

export function readPattern(data: DataView | null, keys: readonly string[]): Pattern | null {
  if (!data || data.byteLength === 0 || keys.length === 0) return null;
  const values = new Float32Array(data.byteLength / 4);
  for (let index = 0; index < values.length; index++) {
    values[index] = data.getFloat32(4 * index, true);
  }
  return { queries: values.length / keys.length, keys: keys.length, values, tokens: keys };
}

export function attention(pattern: Pattern, query: number, key: number): number {
  return pattern.values[query * pattern.keys + key] ?? 0;
}

export function queryToken(pattern: Pattern, query: number): string {
  return pattern.tokens[pattern.keys - pattern.queries + query] ?? "";
}

/**
 * A picture of one pattern: queries from top to bottom, keys from left to right, dark where much
 * attention is. `point`: the cell under the pointer; null: none. `choose`: a query was clicked.
 */
export function createPattern(
  title: string,
  point: (query: number | null, key: number) => void,
  choose: (query: number) => void,
  signal: AbortSignal,
): PatternView {
  const canvas = h("canvas", { class: "spp-pattern", role: "img" });
  const box = h("div", { class: "spp-canvas" }, canvas);
  const element = h("figure", { class: "spp-figure" }, h("figcaption", {}, title), box);
  let shown: Pattern | null = null;
  let marked = -1;
  let cell = 0;
  let margin = 0;

  const draw = (): void => {
    const width = box.clientWidth;
    if (!shown || width === 0) return;
    const { queries, keys } = shown;
    const roomy = Math.floor((width - LABEL_ROOM) / keys);
    const named = roomy >= SMALLEST_NAMED;
    margin = named ? LABEL_ROOM : 0;
    cell = Math.min(LARGEST_CELL, Math.max(0.5, named ? roomy : width / keys));
    const size = { width: margin + cell * keys, height: margin + cell * queries };
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(size.width * scale);
    canvas.height = Math.round(size.height * scale);
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    const { color, accentColor } = getComputedStyle(canvas);
    paint(context, shown, { cell, margin, marked, text: color, accent: accentColor });
  };
  const cellAt = (event: MouseEvent): [number, number] | null => {
    if (!shown) return null;
    const { left, top } = canvas.getBoundingClientRect();
    const key = Math.floor((event.clientX - left - margin) / cell);
    const query = Math.floor((event.clientY - top - margin) / cell);
    const inside = key >= 0 && key < shown.keys && query >= 0 && query < shown.queries;
    return inside ? [query, key] : null;
  };
  canvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    point(at?.[0] ?? null, at?.[1] ?? 0);
  });
  canvas.addEventListener("pointerleave", () => {
    point(null, 0);
  });
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) choose(at[0]);
  });
  const observer = new ResizeObserver(draw);
  observer.observe(box);
  signal.addEventListener(
    "abort",
    () => {
      observer.disconnect();
    },
    { once: true },
  );

  return {
    element,
    show(pattern, name, query) {
      shown = pattern;
      marked = query;
      setAttribute(
        canvas,
        "aria-label",
        `Attention of ${name}, ${title.toLowerCase()}: ${pattern.queries} queries and ` +
          `${pattern.keys} keys. The table has the numbers of one query.`,
      );
      draw();
    },
    redraw: draw,
  };
}

interface Look {
  cell: number;
  /** Pixels for the names of tokens, to the left and above. */
  margin: number;
  /** The query that is framed. */
  marked: number;
  text: string;
  accent: string;
}

function paint(
  context: CanvasRenderingContext2D,
  pattern: Pattern,
  { cell, margin, marked, text, accent }: Look,
): void {
  const { queries, keys } = pattern;
  context.fillStyle = accent;
  for (let query = 0; query < queries; query++) {
    for (let key = 0; key < keys; key++) {
      context.globalAlpha = Math.min(1, attention(pattern, query, key));
      context.fillRect(margin + key * cell, margin + query * cell, cell, cell);
    }
  }
  context.globalAlpha = 0.35;
  context.strokeStyle = text;
  context.lineWidth = 1;
  context.strokeRect(margin + 0.5, margin + 0.5, keys * cell - 1, queries * cell - 1);
  context.globalAlpha = 1;
  if (marked >= 0) {
    context.strokeRect(margin + 0.5, margin + marked * cell + 0.5, keys * cell - 1, cell - 1);
  }
  if (margin === 0) return;
  context.fillStyle = text;
  context.font = `${Math.min(11, cell)}px sans-serif`;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (let query = 0; query < queries; query++) {
    context.fillText(label(queryToken(pattern, query)), margin - 4, margin + (query + 0.5) * cell);
  }
  context.textAlign = "left";
  for (let key = 0; key < keys; key++) {
    context.save();
    context.translate(margin + (key + 0.5) * cell, margin - 4);
    context.rotate(-Math.PI / 2);
    context.fillText(label(pattern.tokens[key] ?? ""), 0, 0);
    context.restore();
  }
}

function label(token: string): string {
  const letters = Array.from(visibleToken(token));
  return letters.length > LABEL_LETTERS
    ? `${letters.slice(0, LABEL_LETTERS - 1).join("")}…`
    : letters.join("");
}

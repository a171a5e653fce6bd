import { h } from "../shared/dom";
import { watchTheme } from "../shared/theme";

const NAMES = [
  "hit",
  "miss",
  "extra",
  "off",
  "on",
  "accent",
  "density",
  "text",
  "muted",
  "ground",
  "line",
] as const;

/** The colours of a canvas, which knows no stylesheet. */
export interface Palette extends Record<(typeof NAMES)[number], string> {
  /** From the weakest to the strongest score. */
  positive: string[];
  negative: string[];
}

/** Shades of a ramp: as many as an eye tells apart in a line. */
export const SHADES = 8;

/**
 * Reads the colours of the stylesheet from elements that nobody sees, which carry them as their text
 * colour; calls `changed` when the theme has brought others.
 */
export function createPalette(
  changed: () => void,
  signal: AbortSignal,
): { element: HTMLElement; read(): Palette } {
  const probe = (colour: string): HTMLElement => {
    const element = h("i", { class: "spc-probe" });
    // Not as an attribute, which the content security policy of a page may refuse.
    element.style.color = colour;
    return element;
  };
  const ramp = (name: string): HTMLElement[] =>
    Array.from({ length: SHADES }, (_, i) => {
      const share = Math.round((100 * i) / (SHADES - 1));
      return probe(
        `color-mix(in oklab, var(--spc-${name}-high) ${share}%, var(--spc-${name}-low))`,
      );
    });
  const positive = ramp("positive");
  const negative = ramp("negative");
  const plain = NAMES.map((name) => ({ name, of: probe(`var(--spc-${name})`) }));
  const element = h(
    "div",
    { class: "spc-probes", "aria-hidden": "true" },
    ...positive,
    ...negative,
    ...plain.map(({ of }) => of),
  );
  const colour = (of: Element): string => getComputedStyle(of).color;
  const all = (): string => [...element.children].map(colour).join();
  let known = "";
  watchTheme(() => {
    const now = all();
    if (now !== known) changed();
    known = now;
  }, signal);
  return {
    element,
    read() {
      known = all();
      const colours = Object.fromEntries(plain.map(({ name, of }) => [name, colour(of)]));
      return {
        ...(colours as Record<(typeof NAMES)[number], string>),
        positive: positive.map(colour),
        negative: negative.map(colour),
      };
    },
  };
}

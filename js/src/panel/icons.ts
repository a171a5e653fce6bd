import { svg } from "../shared/svg";
import type { Command } from "./model";

const PLAY = '<path d="M4 2.5v11l9-5.5z"/>';

const SHAPES: Partial<Record<Command, string>> = {
  start: PLAY,
  resume: PLAY,
  pause: '<path d="M4 3h3v10H4zM9 3h3v10H9z"/>',
  stop: '<path d="M3.5 3.5h9v9h-9z"/>',
  step: '<path d="M3 2.5v11l7-5.5zM11 3h2v10h-2z"/>',
  reset:
    '<path fill="none" stroke="currentColor" stroke-width="1.8" d="M4.2 5A5 5 0 1 1 3 8.6"/>' +
    '<path d="M2.6 1.6v5h5z"/>',
};

/** The picture beside a button's name; the name alone says it all, so it is hidden from readers. */
export function icon(command: Command): SVGElement {
  const picture = svg("svg", { class: "sp-icon", viewBox: "0 0 16 16", "aria-hidden": "true" });
  picture.innerHTML = SHAPES[command] ?? "";
  return picture;
}

import { h, setText } from "../shared/dom";

export interface Section {
  element: HTMLDetailsElement;
  setTitle(title: string): void;
}

/** A part of the panel that can be folded away. */
export function createSection(
  title: string,
  { open = false }: { open?: boolean },
  ...children: HTMLElement[]
): Section {
  const summary = h("summary", { class: "sp-summary sp-section-title" }, title);
  return {
    element: h(
      "details",
      { class: "sp-section", open },
      summary,
      h("div", { class: "sp-section-body" }, ...children),
    ),
    setTitle(text) {
      setText(summary, text);
    },
  };
}

import { LONGEST_NAME, LONGEST_NOTE } from "../generated/measures";
import { h, hasFocus } from "../shared/dom";
import type { GroupData } from "./model";

export interface Gathering {
  element: HTMLElement;
  /** Shows the group of a node; null: no node is pinned. */
  show(node: string | null, groups: readonly GroupData[]): void;
}

/** The fields that gather a pinned node into a group with a name and a note. */
export function createGathering(
  prefix: string,
  events: {
    gather: (node: string, group: string) => void;
    annotate: (group: string, note: string) => void;
  },
): Gathering {
  const known = h("datalist", { id: `${prefix}-groups` });
  const field = (label: string, most: number): HTMLInputElement =>
    h("input", {
      type: "text",
      class: "spc-input",
      "aria-label": label,
      placeholder: label.toLowerCase(),
      maxlength: String(most),
      autocomplete: "off",
    });
  const group = field("Group", LONGEST_NAME);
  group.setAttribute("list", known.id);
  const note = field("Note on the group", LONGEST_NOTE);
  let node = "";
  let present = "";
  group.addEventListener("change", () => {
    const name = group.value.trim();
    if (name !== present) events.gather(node, name);
  });
  note.addEventListener("change", () => {
    events.annotate(present, note.value.trim());
  });
  const element = h("div", { class: "spc-gathering", hidden: true }, group, note, known);
  return {
    element,
    show(next, groups) {
      element.hidden = next === null;
      const of = groups.find(({ nodes }) => next !== null && nodes.includes(next));
      const moved = next !== node;
      node = next ?? "";
      present = of?.name ?? "";
      if (moved || !hasFocus(group)) group.value = present;
      if (moved || !hasFocus(note)) note.value = of?.note ?? "";
      note.hidden = of === undefined;
      known.replaceChildren(...groups.map(({ name }) => h("option", { value: name })));
    },
  };
}

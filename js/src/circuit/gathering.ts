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
  const made = (label: string, most: number): HTMLInputElement =>
    h("input", {
      type: "text",
      class: "spc-input",
      "aria-label": label,
      placeholder: label.split(" ")[0]?.toLowerCase() ?? "",
      maxlength: String(most),
      autocomplete: "off",
    });
  const group = made("Group", LONGEST_NAME);
  group.setAttribute("list", known.id);
  const note = made("Note on the group", LONGEST_NOTE);
  let node = "";
  let present = "";
  const gather = (): void => {
    const name = group.value.trim();
    if (name !== present) events.gather(node, name);
  };
  const annotate = (): void => {
    events.annotate(present, note.value.trim());
  };
  for (const [field, commit] of [[group, gather] as const, [note, annotate] as const]) {
    field.addEventListener("change", commit);
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") commit();
    });
  }
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

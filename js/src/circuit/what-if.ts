import { createAvailability } from "../shared/availability";
import { h, setAttribute, setText } from "../shared/dom";
import { counted } from "./format";
import type { KeptData } from "./model";

/** What a person asks for. */
export interface WhatIfEvents {
  undo: () => void;
  redo: () => void;
  reset: () => void;
  keep: (name: string) => void;
}

export interface WhatIfState {
  switches: number;
  undone: number;
  /** What the switches change, in words. */
  effect: string;
  /** Why that cannot be measured now; empty: it can. */
  note: string;
  /** Why the circuit cannot be kept; empty: it can. */
  unkept: string;
  kept: readonly KeptData[];
}

export interface WhatIf {
  element: HTMLElement;
  show(state: WhatIfState): void;
}

/** The row that is there while anything is switched by hand. */
export function createWhatIf(prefix: string, events: WhatIfEvents): WhatIf {
  const button = (label: string, sign: string, press: () => void): HTMLButtonElement => {
    const attributes = { type: "button", class: "spc-button", "aria-label": label, title: label };
    const made = h("button", attributes, sign);
    made.addEventListener("click", press);
    return made;
  };
  const undo = button("Undo (Z)", "↶", events.undo);
  const redo = button("Redo (Y)", "↷", events.redo);
  const reset = button("Reset to the slider’s circuit", "Reset", events.reset);
  const effect = h("span", { class: "spc-effect", role: "status" });
  const name = h("input", {
    type: "text",
    class: "spc-input spc-name",
    placeholder: "name",
    maxlength: "80",
    "aria-label": "Name of the circuit",
    "aria-describedby": `${prefix}-kept`,
    autocomplete: "off",
    spellcheck: "false",
  });
  const keep = h("button", { type: "button", class: "spc-button" }, "Keep");
  const told = h("span", { id: `${prefix}-kept`, class: "spc-told" });
  const tryKeep = (): void => {
    if (unkept !== "" || name.value.trim() === "") return;
    events.keep(name.value.trim());
    name.value = "";
    showKeep();
  };
  // A button that has nothing left to do keeps the focus.
  const [canUndo, canRedo, canReset, canKeep] = [undo, redo, reset, keep].map(createAvailability);
  let unkept = "";
  const showKeep = (): void => {
    name.disabled = unkept !== "";
    canKeep?.set(unkept === "" && name.value.trim() !== "");
  };
  keep.addEventListener("click", tryKeep);
  name.addEventListener("input", showKeep);
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") tryKeep();
  });
  const keeping = h("span", { class: "spc-keep" }, name, keep, told);
  const element = h(
    "div",
    { class: "spc-what-if", role: "group", "aria-label": "What if" },
    undo,
    redo,
    reset,
    effect,
    keeping,
  );
  return {
    element,
    show(state) {
      element.hidden = state.switches + state.undone === 0;
      canUndo?.set(state.switches > 0);
      canRedo?.set(state.undone > 0);
      canReset?.set(state.switches > 0);
      setText(effect, state.switches ? state.note || state.effect : "");
      keeping.hidden = state.switches === 0;
      ({ unkept } = state);
      setAttribute(keep, "title", unkept || false);
      showKeep();
      const names = state.kept.map(({ name: of, edges }) =>
        edges === null ? of : `${of} (${counted(edges, "edge")})`,
      );
      setText(told, unkept || (names.length > 0 ? `Kept: ${names.join(", ")}` : ""));
    },
  };
}

import { KNOWN } from "../generated/measures";
import { h, hasFocus, setAttribute, setText } from "../shared/dom";
import { counted, formatCount } from "./format";
import { placeOf, sizeAfterKey, sizeAt, SLIDER_STEPS } from "./scale";

/** What a person asks for. */
export interface ControlEvents {
  /** Another number of edges; null: as many as the training has. */
  size(size: number | null): void;
  onlyPaths(on: boolean): void;
  /** Compare with another circuit; empty: with none. */
  compare(name: string): void;
  search(query: string): void;
  /** Enter in the search box: to the next node that was found. */
  next(): void;
}

export interface ControlState {
  size: number;
  most: number;
  hasScores: boolean;
  /** Whether the number of edges follows the training; null: no training is shown. */
  follows: boolean | null;
  onlyPaths: boolean;
  /** Edges of the circuit that lie on no path. */
  leftOut: number;
  /** The circuit that is compared with; empty: none. */
  compare: string;
  comparable: readonly string[];
  /** Why others than the present and the known one cannot be chosen; empty: they can. */
  noOthers: string;
  search: string;
  /** How many nodes the search found; null: nothing is searched. */
  found: number | null;
}

export interface Controls {
  element: HTMLElement;
  show(state: ControlState): void;
}

/** The row above the picture: how many edges, which of them, and the search. */
export function createControls(prefix: string, events: ControlEvents): Controls {
  let most = 0;
  let size = 0;

  const slider = h("input", {
    type: "range",
    id: `${prefix}-slider`,
    class: "spc-slider",
    min: "0",
    max: String(SLIDER_STEPS),
    step: "1",
    // JupyterLab would take the arrow keys for commands on cells.
    "data-lm-suppress-shortcuts": "true",
  });
  const number = h("input", {
    type: "number",
    class: "spc-input spc-number",
    min: "0",
    step: "1",
    "aria-label": "Number of edges",
  });
  const total = h("span", { class: "spc-total" });
  slider.addEventListener("input", () => {
    events.size(sizeAt(Number(slider.value), most));
  });
  slider.addEventListener("keydown", (event) => {
    const next = sizeAfterKey(event.key, size, most);
    if (next === null || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    events.size(next);
  });
  /** What was typed, as a size that there is; what is no number leaves the size as it is. */
  const typed = (): number => {
    const value = number.valueAsNumber;
    return Number.isFinite(value) ? Math.min(most, Math.max(0, Math.round(value))) : size;
  };
  const settle = (): void => {
    const wanted = typed();
    if (wanted !== size) events.size(wanted);
    number.value = String(wanted);
  };
  number.addEventListener("input", () => {
    if (Number.isFinite(number.valueAsNumber)) events.size(typed());
  });
  number.addEventListener("change", settle);
  number.addEventListener("keydown", (event) => {
    // A second Enter is no change any more.
    if (event.key === "Enter") settle();
  });

  const follow = createSwitch("Follow the training", (on) => {
    events.size(on ? null : size);
  });
  const onlyPaths = createSwitch("Only edges on a path", (on) => {
    events.onlyPaths(on);
  });
  const aside = h("span", { class: "spc-total" });
  const compare = h("select", { id: `${prefix}-compare`, class: "spc-input spc-select" });
  compare.addEventListener("change", () => {
    events.compare(compare.value);
  });
  const beside = h(
    "span",
    { class: "spc-switch" },
    h("label", { for: compare.id }, "Compare with"),
    compare,
  );
  let offered = "";

  const search = h("input", {
    type: "search",
    id: `${prefix}-search`,
    class: "spc-input spc-search",
    placeholder: "A9.6, MLP 3, A9.6.Q",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": `${prefix}-found`,
  });
  const found = h("span", { id: `${prefix}-found`, class: "spc-found", role: "status" });
  search.addEventListener("input", () => {
    events.search(search.value);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") events.next();
    if (event.key === "Escape") events.search("");
  });

  return {
    element: h(
      "div",
      { class: "spc-controls" },
      h(
        "div",
        { class: "spc-amount" },
        h("label", { for: slider.id, class: "spc-label" }, "Edges"),
        slider,
        number,
        total,
      ),
      h(
        "div",
        { class: "spc-finder" },
        h("label", { for: search.id, class: "spc-label" }, "Find"),
        search,
        beside,
      ),
      h(
        "div",
        { class: "spc-switches" },
        h("span", { class: "spc-paths" }, onlyPaths.element, aside),
        follow.element,
      ),
      found,
    ),
    show(state) {
      ({ most, size } = state);
      slider.disabled = number.disabled = !state.hasScores;
      slider.value = String(placeOf(size, most));
      setAttribute(slider, "aria-valuetext", `${formatCount(size)} of ${counted(most, "edge")}`);
      setAttribute(number, "max", String(most));
      if (!hasFocus(number)) number.value = String(size);
      setText(total, `of ${formatCount(most)}`);
      follow.show(state.follows);
      onlyPaths.show(state.onlyPaths);
      const { leftOut } = state;
      setText(aside, leftOut > 0 && state.onlyPaths ? `${formatCount(leftOut)} left out` : "");
      beside.hidden = state.comparable.length === 0;
      const choices = JSON.stringify([state.comparable, state.noOthers, state.compare]);
      if (choices !== offered) {
        offered = choices;
        compare.replaceChildren(
          h("option", { value: "" }, "nothing"),
          ...state.comparable.map((name) => {
            const barred = state.noOthers !== "" && name !== state.compare && name !== KNOWN;
            return h("option", { value: name, disabled: barred }, name);
          }),
        );
        setAttribute(compare, "title", state.noOthers || false);
        compare.value = state.compare;
      }
      if (search.value !== state.search) search.value = state.search;
      setText(found, state.found === null ? "" : matches(state.found));
    },
  };
}

function matches(count: number): string {
  if (count === 0) return "no such node";
  return `${counted(count, "node")}, Enter pins`;
}

/** A labelled checkbox; null hides it. */
function createSwitch(
  label: string,
  changed: (on: boolean) => void,
): { element: HTMLElement; show(on: boolean | null): void } {
  const box = h("input", { type: "checkbox", class: "spc-checkbox" });
  const element = h("label", { class: "spc-switch" }, box, label);
  box.addEventListener("change", () => {
    changed(box.checked);
  });
  return {
    element,
    show(on) {
      element.hidden = on === null;
      box.checked = on === true;
    },
  };
}

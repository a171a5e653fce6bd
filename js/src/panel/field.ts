import { createAvailability } from "../shared/availability";
import { h, hasFocus, setAttribute, setText } from "../shared/dom";
import type { FieldSpec, Value } from "./model";
import { stepped } from "./stepping";

export interface FieldView {
  element: HTMLElement;
  /** Shows a value, unless the person is in the middle of typing another. */
  show(value: Value): void;
  /** Explains beside the field what is wrong with it; an empty text: nothing is. */
  showProblem(problem: string): void;
  setAvailable(available: boolean): void;
}

/** How the three kinds of control differ. */
interface Control {
  element: HTMLInputElement | HTMLSelectElement;
  read(): string | boolean;
  write(value: Value): void;
}

/**
 * A labelled field with its help and its problem; `commit` receives what the person chose. `more`:
 * a link beside the label.
 */
export function createField(
  spec: FieldSpec,
  id: string,
  commit: (value: string | boolean) => void,
  more: HTMLAnchorElement | null = null,
): FieldView {
  const control = createControl(spec);
  const availability = createAvailability(control.element);
  const problem = h("span", {
    id: `${id}-problem`,
    class: "sp-problem",
    "aria-live": "polite",
  });
  // Not shown, but still the description of the control.
  const help = h(
    "span",
    { id: `${id}-help`, hidden: true },
    [spec.unavailable, spec.help].filter(Boolean).join(" "),
  );
  const label = h("label", { for: id, class: "sp-label" }, spec.label);

  setAttribute(control.element, "id", id);
  setAttribute(control.element, "name", spec.name);
  setAttribute(control.element, "aria-describedby", `${id}-problem ${id}-help`);

  let latest: Value = spec.value;
  let edited = false;

  const render = (): void => {
    edited = false;
    control.write(latest);
  };
  const finish = (): void => {
    if (!edited) return;
    if (!availability.available) {
      render();
      return;
    }
    edited = false;
    latest = control.read();
    commit(latest);
  };

  control.element.addEventListener("input", () => {
    edited = true;
  });
  control.element.addEventListener("change", () => {
    edited = true;
    finish();
  });
  control.element.addEventListener("blur", () => {
    // An edit that ended where it began has no change event.
    if (!hasFocus(control.element)) render();
  });
  control.element.addEventListener("keydown", (event) => {
    const { key } = event as KeyboardEvent;
    if (key === "Enter") finish();
    if (key === "Escape") render();
    if (isArrow(key) && isNumeric(spec)) {
      event.preventDefault();
      const next = stepped(control.element.value, key === "ArrowUp" ? 1 : -1, spec);
      if (next === null || !availability.available) return;
      control.write(next);
      edited = true;
    }
  });
  control.element.addEventListener("keyup", (event) => {
    // Once, when a key that was held down is let go.
    if (isArrow((event as KeyboardEvent).key) && isNumeric(spec)) finish();
  });
  render();

  return {
    element: h(
      "div",
      { class: `sp-field sp-field-${spec.kind}`, "data-name": spec.name },
      h("span", { class: "sp-name" }, label, ...(more ? [more] : [])),
      control.element,
      problem,
      help,
    ),
    show(value) {
      latest = value;
      if (edited && hasFocus(control.element)) return;
      render();
    },
    showProblem(text) {
      setText(problem, text);
      setAttribute(control.element, "aria-invalid", text ? "true" : false);
    },
    setAvailable(available) {
      availability.set(available && !spec.unavailable);
    },
  };
}

function isNumeric({ kind }: FieldSpec): boolean {
  return kind === "number" || kind === "integer";
}

function isArrow(key: string): boolean {
  return key === "ArrowUp" || key === "ArrowDown";
}

function createControl(spec: FieldSpec): Control {
  switch (spec.kind) {
    case "checkbox":
      return createCheckbox();
    case "select":
      return createSelect(spec);
    case "number":
    case "integer":
    case "numbers":
    case "text":
      return createText(spec);
    case "code":
      throw new Error(`${spec.name} is given from code and has no field.`);
  }
}

function createText(spec: FieldSpec): Control {
  const input = h("input", {
    type: "text",
    class: "sp-input",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    inputmode: spec.kind === "integer" ? "numeric" : spec.kind === "number" ? "decimal" : false,
    ...(spec.placeholder ? { placeholder: spec.placeholder } : {}),
  });
  return {
    element: input,
    read: () => input.value,
    write(value) {
      const text = String(value);
      // Writing the same text again would still move the caret.
      if (input.value !== text) input.value = text;
    },
  };
}

function createSelect(spec: FieldSpec): Control {
  const select = h(
    "select",
    // JupyterLab would take arrow keys and letters for commands on cells.
    { class: "sp-input sp-select", "data-lm-suppress-shortcuts": "true" },
    ...(spec.options ?? []).map(({ value, label }) => h("option", { value }, label)),
  );
  return {
    element: select,
    read: () => select.value,
    write(value) {
      select.value = String(value);
    },
  };
}

function createCheckbox(): Control {
  const input = h("input", { type: "checkbox", class: "sp-checkbox" });
  return {
    element: input,
    read: () => input.checked,
    write(value) {
      input.checked = value === true;
    },
  };
}

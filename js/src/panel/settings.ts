import { createAvailability } from "../shared/availability";
import { h, hasFocus, setAttribute, setText } from "../shared/dom";
import type { Documentation } from "./documentation";
import { createField, type FieldView } from "./field";
import { createMethodChoice } from "./method";
import type { FieldSpec, MethodOption, Option, Outlook, Value } from "./model";

const HELP_HINT =
  "Point at a setting, or move to it, to read what it does. Arrow keys change a number.";

export interface Settings {
  element: HTMLElement;
  /** Builds the fields anew if they are others; what is being typed stays where they are not. */
  build(specs: FieldSpec[]): void;
  show(values: Record<string, Value>): void;
  showProblems(problems: Record<string, string>): void;
  /** Locks every field except those that may change while training. */
  setLocked(locked: boolean): void;
  showMethods(methods: MethodOption[], chosen: string): void;
  showPresets(presets: Option[], chosen: string): void;
  showOutlook(outlook: Outlook): void;
  /** A method can be chosen, and a trial step made, only before a run. */
  setIdle(idle: boolean): void;
}

const CUSTOM: Option = { value: "custom", label: "Custom" };

/**
 * One field per parameter, in two groups, with a line that explains the one in view; while a run is
 * under way only a line of what is set, and what may be changed. `saveAs`: one more field.
 */
export function createSettings(
  idPrefix: string,
  commit: (name: string, value: string | boolean) => void,
  chooseMethod: (name: string) => void,
  choosePreset: (name: string) => void,
  askForEstimate: () => void,
  documentation: Documentation,
  saveAs: HTMLElement,
): Settings {
  const main = h("div", { class: "sp-grid" });
  const more = h("div", { class: "sp-grid" });
  const details = h(
    "details",
    { class: "sp-more" },
    h("summary", { class: "sp-summary" }, "More settings"),
    more,
  );
  // Hidden from screen readers, which read the same text as the description of the field.
  const help = h("p", { class: "sp-help", "aria-hidden": "true" }, HELP_HINT);
  const method = createMethodChoice(idPrefix, chooseMethod);
  const preset = h("select", {
    id: `${idPrefix}-preset`,
    class: "sp-input sp-select",
    "data-lm-suppress-shortcuts": "true",
  });
  const presetAvailability = createAvailability(preset);
  preset.addEventListener("change", () => {
    if (presetAvailability.available && preset.value !== CUSTOM.value) choosePreset(preset.value);
  });
  const outlook = h("p", { class: "sp-outlook", "aria-live": "polite" });
  const estimate = h("button", { type: "button", class: "sp-button" }, "Estimate time");
  const estimateAvailability = createAvailability(estimate);
  estimate.addEventListener("click", () => {
    if (estimateAvailability.available) askForEstimate();
  });
  const presetField = h(
    "div",
    { class: "sp-field sp-preset" },
    h("label", { for: preset.id, class: "sp-label" }, "Preset"),
    preset,
  );
  const line = h("span", { class: "sp-set" });
  const unfold = h("button", { type: "button", class: "sp-button" });
  const row = h("div", { class: "sp-set-row" }, unfold, line);
  const element = h(
    "div",
    { class: "sp-settings" },
    row,
    ...method.elements,
    presetField,
    main,
    details,
    help,
    h("div", { class: "sp-row sp-outlook-row" }, outlook, estimate),
  );
  saveAs.dataset.live = "true";
  let locked = false;
  let folded = false;
  const fold = (next: boolean): void => {
    folded = next;
    element.dataset.folded = String(folded);
    row.hidden = !locked;
    setText(unfold, folded ? "All settings" : "Fewer settings");
    setAttribute(unfold, "aria-expanded", String(!folded));
    // One value among its like that is set may not be seen at all.
    setAttribute(line, "title", line.textContent);
  };
  unfold.addEventListener("click", () => {
    fold(!folded);
  });

  let fields: { spec: FieldSpec; view: FieldView }[] = [];
  let built = "";

  const explain = (target: EventTarget | null): void => {
    const field = fields.find(
      ({ view }) => target instanceof Node && view.element.contains(target),
    );
    const { label = "", help: text = "", unavailable = "" } = field?.spec ?? {};
    setText(help, field ? `${label}: ${[unavailable, text].filter(Boolean).join(" ")}` : HELP_HINT);
  };
  const root = (): Document | ShadowRoot => element.getRootNode() as Document | ShadowRoot;
  explain(null);
  fold(false);

  let shown: Record<string, Value> = {};
  let title = "";
  const showLine = (): void => {
    const set = fields
      .filter(({ spec }) => (spec.group ?? "main") === "main" && !spec.live && !spec.unavailable)
      .map(({ spec }) => `${spec.label} ${inWords(spec, shown[spec.name] ?? spec.value)}`);
    setText(line, [title, ...set].join(" · "));
  };
  element.addEventListener("focusin", (event) => {
    explain(event.target);
  });
  element.addEventListener("focusout", (event) => {
    explain(event.relatedTarget);
  });
  element.addEventListener("pointerover", (event) => {
    explain(event.target);
  });
  element.addEventListener("pointerleave", () => {
    explain(root().activeElement);
  });

  return {
    element,
    build(specs) {
      const description = JSON.stringify(specs);
      if (description === built) return;
      built = description;
      fields = specs.map((spec) => ({
        spec,
        view: createField(
          spec,
          `${idPrefix}-${spec.name}`,
          (value) => {
            commit(spec.name, value);
          },
          spec.section ? documentation.link(spec.section, spec.label) : null,
        ),
      }));
      const elements = (group: string): HTMLElement[] =>
        fields
          .filter(({ spec }) => (spec.group ?? "main") === group)
          .map(({ view }) => view.element);
      for (const { spec, view } of fields) view.element.dataset.live = String(spec.live);
      main.replaceChildren(...elements("main"), saveAs);
      more.replaceChildren(...elements("more"));
      details.hidden = more.childElementCount === 0;
      explain(root().activeElement);
    },
    show(values) {
      for (const { spec, view } of fields) view.show(values[spec.name] ?? spec.value);
      shown = values;
      showLine();
    },
    showProblems(problems) {
      for (const { spec, view } of fields) {
        const problem = problems[spec.name] ?? "";
        view.showProblem(problem);
        if (problem && !spec.live) fold(false);
        if (problem && spec.group === "more") details.open = true;
      }
    },
    setLocked(next) {
      if (next !== locked) {
        locked = next;
        // Whoever is in the middle of a field keeps it in view.
        fold(locked && !hasFocus(element));
      }
      for (const { spec, view } of fields) view.setAvailable(!locked || spec.live);
      presetAvailability.set(!locked);
    },
    showMethods(methods, chosen) {
      method.show(methods, chosen);
      title = methods.find(({ value }) => value === chosen)?.label ?? "";
      showLine();
    },
    showPresets(presets, chosen) {
      presetField.hidden = presets.length === 0;
      const options = chosen === CUSTOM.value ? [CUSTOM, ...presets] : presets;
      preset.replaceChildren(...options.map(({ value, label }) => h("option", { value }, label)));
      preset.value = chosen;
    },
    showOutlook({ text, warning }) {
      setText(outlook, [warning, text].filter(Boolean).join(" "));
      outlook.classList.toggle("sp-outlook-warning", warning !== "");
    },
    setIdle(idle) {
      method.setIdle(idle);
      estimateAvailability.set(idle);
    },
  };
}

/** What a field holds, as a person reads it. */
function inWords({ options, placeholder, kind }: FieldSpec, value: Value): string {
  if (kind === "checkbox") return value === true ? "on" : "off";
  const chosen = options?.find((option) => option.value === value)?.label ?? String(value);
  return chosen || (placeholder ?? "");
}

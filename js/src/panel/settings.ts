import { createAvailability } from "../shared/availability";
import { h, setText } from "../shared/dom";
import type { Documentation } from "./documentation";
import { createField, type FieldView } from "./field";
import { createMethodChoice } from "./method";
import type { FieldSpec, MethodOption, Option, Outlook, Value } from "./model";
import { createSection } from "./section";

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

/** One field per parameter, in two groups, with a line that explains the one in view. */
export function createSettings(
  idPrefix: string,
  commit: (name: string, value: string | boolean) => void,
  chooseMethod: (name: string) => void,
  choosePreset: (name: string) => void,
  askForEstimate: () => void,
  documentation: Documentation,
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
  const { element } = createSection(
    "Settings",
    { open: true },
    ...method.elements,
    presetField,
    main,
    details,
    help,
    h("div", { class: "sp-row" }, outlook, estimate),
  );

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
      main.replaceChildren(...elements("main"));
      more.replaceChildren(...elements("more"));
      details.hidden = more.childElementCount === 0;
      explain(root().activeElement);
    },
    show(values) {
      for (const { spec, view } of fields) view.show(values[spec.name] ?? spec.value);
    },
    showProblems(problems) {
      for (const { spec, view } of fields) {
        const problem = problems[spec.name] ?? "";
        view.showProblem(problem);
        if (problem) element.open = true;
        if (problem && spec.group === "more") details.open = true;
      }
    },
    setLocked(locked) {
      for (const { spec, view } of fields) view.setAvailable(!locked || spec.live);
      presetAvailability.set(!locked);
    },
    showMethods(methods, chosen) {
      method.show(methods, chosen);
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

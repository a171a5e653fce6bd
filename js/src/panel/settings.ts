import { h, setText } from "../shared/dom";
import { createField, type FieldView } from "./field";
import type { FieldSpec, Value } from "./model";

const HELP_HINT = "Point at a setting, or move to it, to read what it does.";

export interface Settings {
  element: HTMLElement;
  /** Builds the fields anew. */
  build(specs: FieldSpec[]): void;
  show(values: Record<string, Value>): void;
  showProblems(problems: Record<string, string>): void;
  /** Locks every field except those that may change while training. */
  setLocked(locked: boolean): void;
}

/** One field per parameter, in two groups, with a line that explains the one in view. */
export function createSettings(
  idPrefix: string,
  commit: (name: string, value: string | boolean) => void,
): Settings {
  const main = h("div", { class: "sp-grid" });
  const more = h("div", { class: "sp-grid" });
  const details = h(
    "details",
    { class: "sp-more", open: true },
    h("summary", { class: "sp-summary" }, "More settings"),
    more,
  );
  // Hidden from screen readers, which read the same text as the description of the field.
  const help = h("p", { class: "sp-help", "aria-hidden": "true" }, HELP_HINT);
  const element = h(
    "div",
    { class: "sp-settings", role: "group", "aria-label": "Settings" },
    main,
    details,
    help,
  );

  let fields: { spec: FieldSpec; view: FieldView }[] = [];

  const explain = (target: EventTarget | null): void => {
    const field = fields.find(
      ({ view }) => target instanceof Node && view.element.contains(target),
    );
    setText(help, field ? `${field.spec.label}: ${field.spec.help}` : HELP_HINT);
  };
  const root = (): Document | ShadowRoot => element.getRootNode() as Document | ShadowRoot;
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
      fields = specs.map((spec) => ({
        spec,
        view: createField(spec, `${idPrefix}-${spec.name}`, (value) => {
          commit(spec.name, value);
        }),
      }));
      const elements = (group: string): HTMLElement[] =>
        fields
          .filter(({ spec }) => (spec.group ?? "main") === group)
          .map(({ view }) => view.element);
      main.replaceChildren(...elements("main"));
      more.replaceChildren(...elements("more"));
      details.hidden = more.childElementCount === 0;
    },
    show(values) {
      for (const { spec, view } of fields) view.show(values[spec.name] ?? spec.value);
    },
    showProblems(problems) {
      for (const { spec, view } of fields) {
        const problem = problems[spec.name] ?? "";
        view.showProblem(problem);
        if (problem && spec.group === "more") details.open = true;
      }
    },
    setLocked(locked) {
      for (const { spec, view } of fields) view.setAvailable(!locked || spec.live);
    },
  };
}

import { createAvailability } from "../shared/availability";
import { h, setText } from "../shared/dom";
import type { MethodOption } from "./model";

export interface MethodChoice {
  /** The field, with what the chosen method and the others are for. */
  elements: HTMLElement[];
  show(methods: MethodOption[], chosen: string): void;
  /** Another method can be chosen only before a run. */
  setIdle(idle: boolean): void;
}

/** The choice of a method: what the chosen one is for stands below it, the others' can be unfolded. */
export function createMethodChoice(idPrefix: string, choose: (name: string) => void): MethodChoice {
  const summary = h("p", { id: `${idPrefix}-method-summary`, class: "sp-method-summary" });
  const select = h("select", {
    id: `${idPrefix}-method`,
    class: "sp-input sp-select",
    "aria-describedby": summary.id,
    "data-lm-suppress-shortcuts": "true",
  });
  const all = h("ul", { class: "sp-methods" });
  const others = h(
    "details",
    { class: "sp-more" },
    h("summary", { class: "sp-summary" }, "What the methods are for"),
    all,
  );
  const availability = createAvailability(select);
  let options: MethodOption[] = [];
  let idle = true;

  const explain = (): void => {
    const text = options.find(({ value }) => value === select.value)?.summary ?? "";
    setText(summary, idle ? text : `${text} Reset the run to choose another method.`);
  };
  select.addEventListener("change", () => {
    if (availability.available) choose(select.value);
    explain();
  });

  return {
    elements: [
      h(
        "div",
        { class: "sp-field sp-preset" },
        h("label", { for: select.id, class: "sp-label" }, "Method"),
        select,
      ),
      summary,
      others,
    ],
    show(methods, chosen) {
      // An open list would fold up if its options were made anew.
      if (JSON.stringify(methods) !== JSON.stringify(options)) {
        options = methods;
        select.replaceChildren(...methods.map(({ value, label }) => h("option", { value }, label)));
        all.replaceChildren(
          ...methods.map(({ label, summary: text }) =>
            h(
              "li",
              { class: "sp-method-line" },
              h("span", { class: "sp-method-name" }, label),
              h("span", {}, text),
            ),
          ),
        );
      }
      if (select.value !== chosen) select.value = chosen;
      explain();
    },
    setIdle(next) {
      idle = next;
      availability.set(next);
      explain();
    },
  };
}

import { createAvailability } from "../shared/availability";
import { h, setText } from "../shared/dom";
import { formatCount } from "./format";
import type { Command, Validation } from "./model";

export interface ValidationView {
  element: HTMLElement;
  update(shown: Validation): void;
}

/** What the hard circuit does on the validation data, and how to get the best one back. */
export function createValidation(send: (command: Command) => void): ValidationView {
  const last = createFact("hard circuit on validation data");
  const best = createFact("best");
  const [evaluate, canEvaluate] = button("Evaluate now", () => {
    send("evaluate");
  });
  const [restore, canRestore] = button("Restore best", () => {
    send("restore_best");
  });
  return {
    element: h(
      "div",
      { class: "sp-validation", role: "group", "aria-label": "Hard circuit on validation data" },
      last.element,
      best.element,
      h("div", { class: "sp-buttons" }, evaluate, restore),
    ),
    update(shown) {
      last.show(shown.last, shown.last_step);
      best.show(shown.best, shown.best_step);
      best.element.hidden = !shown.best;
      canEvaluate.set(shown.can_evaluate);
      canRestore.set(shown.can_restore);
    },
  };
}

interface Fact {
  element: HTMLElement;
  show(text: string, step: number | null): void;
}

function createFact(name: string): Fact {
  const label = h("span", { class: "sp-fact-label" }, name);
  const value = h("span", { class: "sp-fact-value" });
  return {
    element: h("span", { class: "sp-fact" }, label, " ", value),
    show(text, step) {
      setText(label, step === null ? name : `${name}, step ${formatCount(step)}`);
      setText(value, text);
    },
  };
}

function button(
  label: string,
  press: () => void,
): [HTMLButtonElement, ReturnType<typeof createAvailability>] {
  const element = h("button", { type: "button", class: "sp-button" }, label);
  const availability = createAvailability(element);
  element.addEventListener("click", () => {
    if (availability.available) press();
  });
  return [element, availability];
}

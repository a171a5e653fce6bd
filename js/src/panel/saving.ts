import { h, hasFocus, setText } from "../shared/dom";
import { createField } from "./field";
import type { FieldSpec } from "./model";

const SAVE_AS: FieldSpec = {
  name: "save_as",
  label: "Save scores as",
  kind: "text",
  value: "",
  help: "The variable of the notebook that holds the scores when the training is done or stopped.",
  live: true,
};

export interface Saving {
  field: HTMLElement;
  question: HTMLElement;
  show(name: string, problem: string): void;
  /** Asks whether to overwrite; an empty text: nothing is asked. */
  ask(prompt: string): void;
}

/**
 * The name that the scores are saved under, and the question before something is overwritten.
 * `leave`: called before the question vanishes under the keyboard.
 */
export function createSaving(
  idPrefix: string,
  commit: (name: string) => void,
  answer: (command: "overwrite" | "keep") => void,
  leave: () => void,
): Saving {
  const field = createField(SAVE_AS, `${idPrefix}-save-as`, (value) => {
    commit(String(value));
  });
  const question = h("span", { id: `${idPrefix}-question`, class: "sp-question" });
  const choice = (command: "overwrite" | "keep", label: string): HTMLButtonElement => {
    const button = h("button", { type: "button", class: "sp-button" }, label);
    button.addEventListener("click", () => {
      answer(command);
    });
    return button;
  };
  const choices = h(
    "span",
    { class: "sp-choices", role: "group", "aria-labelledby": question.id },
    choice("overwrite", "Overwrite"),
    choice("keep", "Keep"),
  );
  choices.hidden = true;

  return {
    field: field.element,
    // The live region stays in the page, so that a question that appears in it is read out.
    question: h("div", { class: "sp-prompt", "aria-live": "polite" }, question, choices),
    show(name, problem) {
      field.show(name);
      field.showProblem(problem);
    },
    ask(prompt) {
      if (!prompt && hasFocus(choices)) leave();
      setText(question, prompt);
      choices.hidden = !prompt;
    },
  };
}

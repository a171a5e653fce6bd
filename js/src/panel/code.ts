import { h, setText } from "../shared/dom";
import { createSection } from "./section";

const COPIED = "Copied.";
const SELECTED = "The browser did not allow it. The text is selected: copy it with the keyboard.";

export interface CodeView {
  element: HTMLElement;
  show(code: string): void;
}

/** The Python that repeats the run, to read and to copy. */
export function createCode(): CodeView {
  const text = h("textarea", {
    class: "sp-code",
    readonly: true,
    rows: "12",
    spellcheck: "false",
    "aria-label": "Python code of this run",
  });
  const button = h("button", { type: "button", class: "sp-button" }, "Copy as code");
  const outcome = h("span", { class: "sp-outcome", "aria-live": "polite" });
  button.addEventListener("click", () => {
    void copy(text).then((copied) => {
      setText(outcome, copied ? COPIED : SELECTED);
    });
  });
  const { element } = createSection(
    "Code",
    {},
    h("div", { class: "sp-row" }, button, outcome),
    text,
  );
  return {
    element,
    show(code) {
      if (text.value === code) return;
      text.value = code;
      setText(outcome, "");
    },
  };
}

/** Whether the text went to the clipboard; otherwise it is selected. */
async function copy(text: HTMLTextAreaElement): Promise<boolean> {
  try {
    // There is no clipboard on a page that came without https from another machine.
    await navigator.clipboard.writeText(text.value);
    return true;
  } catch {
    text.focus();
    text.select();
    return false;
  }
}

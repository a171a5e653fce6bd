import { h, setText } from "../shared/dom";

const COPIED = "Copied.";
const SELECTED = "The browser did not allow it. The text is selected: copy it with the keyboard.";

export interface CodeView {
  element: HTMLElement;
  show(code: string): void;
  /** What was asked for is there. */
  arrived(): void;
}

/**
 * The Python that repeats the run, to read and to copy. It is written when somebody wants it:
 * `ask` sends for it.
 */
export function createCode(ask: () => void): CodeView {
  const text = h("textarea", {
    class: "sp-code",
    readonly: true,
    rows: "12",
    spellcheck: "false",
    "aria-label": "Python code of this run",
  });
  const button = h("button", { type: "button", class: "sp-button" }, "Copy as code");
  const outcome = h("span", { class: "sp-outcome", "aria-live": "polite" });
  let copying = false;
  button.addEventListener("click", () => {
    copying = true;
    ask();
  });
  return {
    element: h(
      "div",
      { class: "sp-section-body" },
      h("div", { class: "sp-row" }, button, outcome),
      text,
    ),
    show(code) {
      if (text.value === code) return;
      text.value = code;
      setText(outcome, "");
    },
    arrived() {
      if (!copying) return;
      copying = false;
      void copy(text).then((copied) => {
        setText(outcome, copied ? COPIED : SELECTED);
      });
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

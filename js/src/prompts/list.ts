import { formatScore } from "../circuit/format";
import { h, setAttribute, setText } from "../shared/dom";
import { TYPED, type PromptsTraits } from "./model";
import { visibleText } from "./visible";

export interface PromptList {
  element: HTMLElement;
  show(
    traits: Pick<PromptsTraits, "prompts" | "loss" | "list_note" | "in_common" | "chosen">,
  ): void;
}

export interface TypedPair {
  element: HTMLElement;
  show(traits: Pick<PromptsTraits, "typed" | "typed_problem" | "typed_field">): void;
}

/** The prompts to choose from, and what the worst have in common. */
export function createList(prefix: string, choose: (place: number) => void): PromptList {
  const select = h("select", {
    id: `${prefix}-prompt`,
    class: "spp-list",
    size: "7",
    "data-lm-suppress-shortcuts": "true",
  });
  select.addEventListener("change", () => {
    choose(Number(select.value));
  });
  const title = h("label", { class: "spp-label", for: `${prefix}-prompt` });
  const note = h("p", { class: "spp-muted" });
  const common = h("ul", { class: "spp-common" });
  let drawn = "";

  return {
    element: h("div", { class: "spp-choice" }, title, select, note, common),
    show({ prompts, loss, list_note, in_common, chosen }) {
      setText(title, loss ? `Prompts, worst first (${loss})` : "Prompts");
      setText(note, list_note);
      const options = prompts.map(({ place, loss: lost, text, answers }) => ({
        value: String(place),
        text:
          (lost === null ? "" : `${formatScore(lost)}  `) +
          visibleText(text) +
          (answers.length > 0 ? ` →${visibleText(answers.join(" /"))}` : ""),
      }));
      if (chosen === TYPED)
        options.unshift({ value: String(TYPED), text: "The pair that you typed" });
      // A list that is drawn anew loses its place.
      const now = JSON.stringify(options);
      if (now !== drawn) {
        drawn = now;
        const top = select.scrollTop;
        select.replaceChildren(...options.map(({ value, text }) => h("option", { value }, text)));
        select.scrollTop = top;
      }
      select.value = String(chosen);
      common.replaceChildren(...in_common.map((line) => h("li", {}, visibleText(line))));
    },
  };
}

/** Two fields for a pair of one's own. */
export function createTyped(
  prefix: string,
  type: (clean: string, corrupt: string) => void,
): TypedPair {
  const problem = h("p", { id: `${prefix}-problem`, class: "spp-problem", role: "alert" });
  const field = (name: string): HTMLInputElement =>
    h("input", {
      id: `${prefix}-${name}`,
      class: "spp-input",
      type: "text",
      spellcheck: "false",
      autocomplete: "off",
      "aria-describedby": `${prefix}-problem`,
      "data-lm-suppress-shortcuts": "true",
    });
  const fields = { clean: field("clean"), corrupt: field("corrupt") };
  const send = (): void => {
    type(fields.clean.value, fields.corrupt.value);
  };
  for (const each of Object.values(fields)) {
    each.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send();
    });
  }
  const button = h("button", { type: "button", class: "spp-button" }, "Show this pair");
  button.addEventListener("click", send);
  return {
    element: h(
      "details",
      { class: "spp-typed" },
      h("summary", { class: "spp-summary" }, "A pair of your own"),
      h("label", { class: "spp-label", for: `${prefix}-clean` }, "Clean prompt"),
      fields.clean,
      h("label", { class: "spp-label", for: `${prefix}-corrupt` }, "Corrupt prompt"),
      fields.corrupt,
      button,
      problem,
    ),
    show({ typed: [clean = "", corrupt = ""], typed_problem, typed_field }) {
      if (fields.clean.value === "") fields.clean.value = clean;
      if (fields.corrupt.value === "") fields.corrupt.value = corrupt;
      setText(problem, visibleText(typed_problem));
      for (const [name, each] of Object.entries(fields)) {
        setAttribute(each, "aria-invalid", typed_problem && name === typed_field ? "true" : false);
      }
    },
  };
}

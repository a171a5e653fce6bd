import { afterEach, describe, expect, it } from "vitest";

import { description, leave, openPanel, RUNNING, type } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

describe("Save scores as", () => {
  it("holds the name and passes on another, also while running", () => {
    const view = openPanel({ status: RUNNING });
    const control = view.control("Save scores as");
    expect(control.value).toBe("prune_scores");
    type(control, "my_scores");
    leave(control);
    expect(view.model.get("save_as")).toBe("my_scores");
    expect(view.model.save_changes).toHaveBeenCalledOnce();
  });

  it("explains what is wrong with the name", () => {
    const view = openPanel({ save_as_problem: "list is a builtin" });
    const control = view.control("Save scores as");
    expect(control.getAttribute("aria-invalid")).toBe("true");
    expect(description(view, control)).toContain("list is a builtin");
  });
});

describe("the question before something is overwritten", () => {
  const prompt = "prune_scores holds something else. Overwrite it?";

  it("is hidden until it is asked", () => {
    const view = openPanel();
    expect(view.button("Overwrite").closest("[hidden]")).not.toBeNull();
    view.model.set("overwrite_prompt", prompt);
    expect(view.el.textContent).toContain(prompt);
    expect(view.button("Overwrite").closest("[hidden]")).toBeNull();
  });

  it.each(["Overwrite", "Keep"])("is answered by %s", (name) => {
    const view = openPanel({ overwrite_prompt: prompt });
    view.button(name).click();
    expect(view.model.send.mock.calls).toEqual([
      [{ type: "command", command: name.toLowerCase() }],
    ]);
  });

  it("leaves the keyboard at what can be pressed next when it goes", () => {
    const view = openPanel({ overwrite_prompt: prompt });
    view.button("Keep").focus();
    view.model.set("overwrite_prompt", "");
    expect(document.activeElement).toBe(view.button("Start"));
    expect(view.el.textContent).not.toContain(prompt);
  });
});

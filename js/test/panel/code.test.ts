import { afterEach, describe, expect, it, vi } from "vitest";

import { openPanel, RUNNING, type View } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

const ASKED = [{ type: "command", command: "code" }];

function text(view: View): HTMLTextAreaElement {
  const found = view.el.querySelector<HTMLTextAreaElement>(
    'textarea[aria-label="Python code of this run"]',
  );
  if (!found) throw new Error("no code");
  return found;
}

function answer(view: View, code: string): void {
  view.model.set("code", code);
  view.model.receive({ type: "code" });
}

describe("the code of the run", () => {
  it("is asked for when somebody looks at it, and once more in every state", () => {
    const view = openPanel();
    view.model.set("status", RUNNING);
    expect(view.model.send.mock.calls).toEqual([]);
    view.model.set("tab", "code");
    view.model.set("status", { ...RUNNING, step: 124 });
    expect(view.model.send.mock.calls).toEqual([ASKED]);
    view.model.set("status", { ...RUNNING, state: "done" });
    expect(view.model.send.mock.calls).toEqual([ASKED, ASKED]);
    answer(view, "a = 1\n");
    expect(text(view).value).toBe("a = 1\n");
    expect(text(view).readOnly).toBe(true);
  });

  it("goes to the clipboard as it is now, and that is said", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    const view = openPanel({ code: "a = 1\n" });
    view.button("Copy as code").click();
    expect(view.model.send.mock.calls).toEqual([ASKED]);
    expect(writeText).not.toHaveBeenCalled();
    answer(view, "a = 2\n");
    await vi.waitFor(() => {
      expect(view.el.querySelector(".sp-outcome")?.textContent).toBe("Copied.");
    });
    expect(writeText).toHaveBeenCalledWith("a = 2\n");
    // Somebody else asked.
    answer(view, "a = 3\n");
    expect(writeText).toHaveBeenCalledOnce();
  });

  it("is selected where there is no clipboard", async () => {
    vi.stubGlobal("navigator", {});
    const view = openPanel();
    view.button("Copy as code").click();
    answer(view, "a = 1\n");
    await vi.waitFor(() => {
      expect(view.el.querySelector(".sp-outcome")?.textContent).toContain("selected");
    });
    const area = text(view);
    expect(document.activeElement).toBe(area);
    expect([area.selectionStart, area.selectionEnd]).toEqual([0, 6]);
  });
});

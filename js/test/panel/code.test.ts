import { afterEach, describe, expect, it, vi } from "vitest";

import { openPanel, type View } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function text(view: View): HTMLTextAreaElement {
  const found = view.el.querySelector<HTMLTextAreaElement>(
    'textarea[aria-label="Python code of this run"]',
  );
  if (!found) throw new Error("no code");
  return found;
}

describe("the code of the run", () => {
  it("can be read and follows the run", () => {
    const view = openPanel({ code: "a = 1\n" });
    expect(text(view).value).toBe("a = 1\n");
    expect(text(view).readOnly).toBe(true);
    view.model.set("code", "a = 2\n");
    expect(text(view).value).toBe("a = 2\n");
  });

  it("goes to the clipboard, and that is said", async () => {
    const writeText = vi.fn(() => Promise.resolve());
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    const view = openPanel({ code: "a = 1\n" });
    view.button("Copy as code").click();
    await vi.waitFor(() => {
      expect(view.el.querySelector(".sp-outcome")?.textContent).toBe("Copied.");
    });
    expect(writeText).toHaveBeenCalledWith("a = 1\n");
  });

  it("is selected where there is no clipboard", async () => {
    vi.stubGlobal("navigator", {});
    const view = openPanel({ code: "a = 1\n" });
    view.button("Copy as code").click();
    await vi.waitFor(() => {
      expect(view.el.querySelector(".sp-outcome")?.textContent).toContain("selected");
    });
    const area = text(view);
    expect(document.activeElement).toBe(area);
    expect([area.selectionStart, area.selectionEnd]).toEqual([0, 6]);
  });
});

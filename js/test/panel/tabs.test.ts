import { afterEach, describe, expect, it, vi } from "vitest";

import { openPanel, press, TABS, type View } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

const FAITHFULNESS = { name: "faithfulness", label: "Faithfulness" };

function tabs(view: View): HTMLElement[] {
  return [...view.el.querySelectorAll<HTMLElement>("[role=tab]")];
}

function selected(view: View): (string | null)[] {
  return tabs(view)
    .filter((tab) => tab.getAttribute("aria-selected") === "true")
    .map((tab) => tab.textContent);
}

function inView(view: View): string[] {
  return [...view.el.querySelectorAll<HTMLElement>("[role=tabpanel]")]
    .filter((content) => !content.hidden)
    .map((content) => content.className.replace(/.*sp-tab-/, ""));
}

describe("the tabs", () => {
  it("show one content at a time, named by its tab", () => {
    const view = openPanel();
    expect([selected(view), inView(view)]).toEqual([["Settings"], ["settings"]]);
    tabs(view)[2]?.click();
    expect([selected(view), inView(view)]).toEqual([["Code"], ["code"]]);
    expect(view.model.get("tab")).toBe("code");
    for (const tab of tabs(view)) {
      const content = view.el.querySelector(`#${tab.getAttribute("aria-controls") ?? ""}`);
      expect(content?.getAttribute("aria-labelledby")).toBe(tab.id);
    }
  });

  it("are one stop of the keyboard, and its arrows go round", () => {
    const view = openPanel();
    tabs(view)[0]?.focus();
    const pressed = (key: string): string | null => {
      if (document.activeElement) press(document.activeElement as HTMLElement, key);
      return document.activeElement?.textContent ?? null;
    };
    expect(
      ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Home", "End"].map(pressed),
    ).toEqual(["Runs", "Code", "Settings", "Code", "Settings", "Code"]);
    expect(selected(view)).toEqual(["Code"]);
    expect(tabs(view).map((tab) => tab.tabIndex)).toEqual([-1, -1, 0]);
  });

  it("take in widgets beside the panel, also those that come late", async () => {
    const view = openPanel({ tabs: [...TABS, FAITHFULNESS], tab: "faithfulness" });
    view.el.className = "sp-cockpit";
    const widget = document.createElement("div");
    widget.className = "sp-tab-faithfulness";
    view.el.append(widget);
    view.model.set("tab", "settings");
    expect(widget.hidden).toBe(true);
    view.model.set("tab", "faithfulness");
    expect([widget.hidden, widget.getAttribute("role")]).toEqual([false, "tabpanel"]);
    await vi.waitFor(() => {
      expect(inView(view)).toEqual(["faithfulness"]);
    });
  });

  it("show the first one where the wanted one is missing", () => {
    const view = openPanel({ tab: "prompts" });
    expect(selected(view)).toEqual(["Settings"]);
  });
});

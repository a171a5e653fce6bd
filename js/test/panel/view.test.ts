import { afterEach, describe, expect, it } from "vitest";

import { IDLE, openPanel, openView, RUNNING, type } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

describe("the panel", () => {
  it("is a region with a name", () => {
    const view = openPanel();
    expect(view.role("region").getAttribute("aria-label")).toBe("Subnetwork Probing");
  });

  it("has no two elements of the same id, also beside a second view", () => {
    const first = openPanel();
    openView(first.model);
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(0);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("refers only to elements that exist", () => {
    const view = openPanel({ overwrite_prompt: "Overwrite?" });
    for (const attribute of ["for", "aria-describedby", "aria-labelledby"]) {
      for (const element of view.el.querySelectorAll(`[${attribute}]`)) {
        for (const id of (element.getAttribute(attribute) ?? "").split(" ")) {
          expect(view.el.querySelector(`#${id}`), `${attribute} ${id}`).not.toBeNull();
        }
      }
    }
  });

  it("says when clicks take effect late", () => {
    const view = openPanel();
    view.model.set("responsive", "Clicks take effect when the running cell ends.");
    expect(view.el.textContent).toContain("Clicks take effect when the running cell ends.");
  });

  it("shows the state in a view that is opened later", () => {
    const first = openPanel();
    first.model.set("status", RUNNING);
    first.model.set("values", { ...first.model.get("values"), epochs: "7" });
    const second = openView(first.model);
    expect(second.role("status").textContent).toContain("running, step 123");
    expect(second.control("Epochs").value).toBe("7");
    expect(second.button("Pause").disabled).toBe(false);
  });

  it("leaves nothing behind when a view is closed", () => {
    const view = openPanel();
    const { listenerCount } = view.model;
    expect(listenerCount).toBeGreaterThan(0);
    const second = openView(view.model);
    second.close();
    expect(view.model.listenerCount).toBe(listenerCount);
    expect(second.el.childElementCount).toBe(0);

    type(view.control("Epochs"), "3");
    view.close();
    expect(view.model.listenerCount).toBe(0);
    view.model.set("status", IDLE);
    expect(view.el.childElementCount).toBe(0);
  });
});

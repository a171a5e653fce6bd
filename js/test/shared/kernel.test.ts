import { afterEach, describe, expect, it } from "vitest";

import { followKernel } from "../../src/shared/kernel";

afterEach(() => {
  document.body.replaceChildren();
});

/** The node of a view as ipywidgets makes it, with a button in it. */
function view(connected: boolean, notice?: string) {
  const el = document.createElement("div");
  el.className = connected ? "jupyter-widgets" : "jupyter-widgets jupyter-widgets-disconnected";
  const root = document.createElement("div");
  const button = document.createElement("button");
  root.append("words", button);
  el.append(root);
  document.body.append(el);
  const controller = new AbortController();
  followKernel(el, root, controller.signal, notice);
  return {
    el,
    root,
    button,
    close: () => {
      controller.abort();
    },
  };
}

/** Until the browser has told of a change of class. */
const told = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

describe("a view without a kernel", () => {
  it("says so, can be read, and cannot be used", () => {
    const { root, button } = view(false);
    expect(root.querySelector(".sp-no-kernel")?.textContent).toContain("No kernel");
    expect(button.matches(":disabled")).toBe(true);
    expect(root.textContent).toContain("words");
  });

  it("says nothing where another view already does", () => {
    const { root, button } = view(false, "");
    expect(root.querySelector(".sp-no-kernel")).toBeNull();
    expect(button.matches(":disabled")).toBe(true);
  });

  it("is an ordinary one with a kernel", () => {
    const { root, button } = view(true);
    expect(root.querySelector(".sp-no-kernel, fieldset")).toBeNull();
    expect(button.matches(":disabled")).toBe(false);
  });

  it("notices that the kernel ends, and that it is back", async () => {
    const { el, root, button } = view(true);
    el.classList.add("jupyter-widgets-disconnected");
    await told();
    expect(button.matches(":disabled")).toBe(true);
    el.classList.remove("jupyter-widgets-disconnected");
    await told();
    expect(button.matches(":disabled")).toBe(false);
    expect(root.querySelector(".sp-no-kernel, fieldset")).toBeNull();
    expect(root.lastChild).toBe(button);
  });

  it("notices it of the box that it stands in, which comes after it", async () => {
    const { el, button } = view(true);
    el.className = "";
    const box = document.createElement("div");
    box.className = "jupyter-widgets";
    box.append(el);
    document.body.append(box);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    box.classList.add("jupyter-widgets-disconnected");
    await told();
    expect(button.matches(":disabled")).toBe(true);
  });

  it("looks no more once it is closed", async () => {
    const { el, button, close } = view(true);
    close();
    el.classList.add("jupyter-widgets-disconnected");
    await told();
    expect(button.matches(":disabled")).toBe(false);
  });
});

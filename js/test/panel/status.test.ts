import { afterEach, describe, expect, it } from "vitest";

import { IDLE, openPanel, RUNNING } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

describe("the status line", () => {
  it("tells state, step, epoch, loss, edges, time left and threads", () => {
    const view = openPanel({ status: RUNNING });
    expect(view.role("status").textContent).toBe(
      "running, step 123 of 400, epoch 7 of 20, loss 1.235, " +
        "edges in the circuit 1,234 of 32,491, time left 1 min 20 s, threads 2",
    );
  });

  it("shows a dash for what is not known yet", () => {
    const view = openPanel();
    expect(view.role("status").textContent).toContain("loss –");
  });

  it("counts in place, without rebuilding what is around the numbers", () => {
    const view = openPanel({ status: RUNNING });
    const before = [...view.el.querySelectorAll("*")];
    view.model.set("status", { ...RUNNING, step: 124, loss: 1.2, progress: 0.31 });
    expect([...view.el.querySelectorAll("*")]).toEqual(before);
    expect(view.role("status").textContent).toContain("step 124 of 400");
  });

  it("announces a change of state but not the counting", () => {
    const view = openPanel({ status: RUNNING });
    const numbers = view.role("status").querySelector('[aria-live="off"]');
    expect(numbers?.textContent).toContain("step 123");
    expect(numbers?.textContent).not.toContain("running");
  });

  it("shows the message of the kernel", () => {
    const view = openPanel({ status: { ...IDLE, state: "done", message: "Scores saved." } });
    expect(view.role("status").textContent).toContain("Scores saved.");
    expect(view.role("alert").textContent).toBe("");
  });
});

describe("the progress bar", () => {
  it("has a name, bounds, a value and a text", () => {
    const view = openPanel({ status: RUNNING });
    const bar = view.role("progressbar");
    expect(bar.getAttribute("aria-label")).toBe("Progress of the training");
    expect(bar.getAttribute("aria-valuemin")).toBe("0");
    expect(bar.getAttribute("aria-valuemax")).toBe("100");
    expect(bar.getAttribute("aria-valuenow")).toBe("30.8");
    expect(bar.getAttribute("aria-valuetext")).toBe("30 %");
  });

  it("follows the preparation in its own words", () => {
    const view = openPanel({
      status: {
        ...IDLE,
        state: "preparing",
        progress: 0.25,
        progress_label: "Preparing: batch 4 of 16",
      },
    });
    const bar = view.role("progressbar");
    expect(bar.getAttribute("aria-label")).toBe("Progress of the preparation");
    expect(bar.getAttribute("aria-valuenow")).toBe("25");
    expect(bar.getAttribute("aria-valuetext")).toBe("Preparing: batch 4 of 16");
  });
});

describe("a failure", () => {
  it("is an alert with its message, and is gone after a reset", () => {
    const view = openPanel({ status: RUNNING });
    view.model.set("status", { ...RUNNING, state: "failed", message: "The loss became NaN." });
    expect(view.role("alert").textContent).toBe("The loss became NaN.");
    expect(view.role("status").textContent).toContain("failed, step 123 of 400");
    view.model.set("status", IDLE);
    expect(view.role("alert").textContent).toBe("");
  });
});

import { afterEach, describe, expect, it } from "vitest";

import { openPanel, RUNNING } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

const NOTHING = {
  last: "not measured yet",
  last_step: null,
  best: "",
  best_step: null,
  can_evaluate: false,
  can_restore: false,
};

describe("the hard circuit on the validation data", () => {
  it("is told in words", () => {
    const view = openPanel({ status: RUNNING });
    view.model.set("validation", {
      last: "31 edges, KL divergence 0.1",
      last_step: 4000,
      best: "29 edges, KL divergence 0.09",
      best_step: 20,
      can_evaluate: true,
      can_restore: true,
    });
    const group = view.el.querySelector('[aria-label="Hard circuit on validation data"]');
    expect(group?.textContent).toContain("step 4,000 31 edges, KL divergence 0.1");
    expect(group?.textContent).toContain("best, step 20 29 edges, KL divergence 0.09");
  });

  it("leaves the room of the best one to a sentence while there is none", () => {
    const view = openPanel({ validation: NOTHING });
    const [last, best] = view.el.querySelectorAll<HTMLElement>(".sp-validation .sp-fact");
    expect([last?.hidden, best?.hidden]).toEqual([false, true]);
    view.model.set("validation", { ...NOTHING, best: "29 edges", best_step: 20 });
    expect(best?.hidden).toBe(false);
  });

  it.each([
    ["Evaluate now", "evaluate", "can_evaluate"],
    ["Restore best", "restore_best", "can_restore"],
  ] as const)("%s is there when it can be done", (name, command, permission) => {
    const view = openPanel({ validation: NOTHING });
    expect(view.button(name).disabled).toBe(true);
    view.model.set("validation", { ...NOTHING, [permission]: true });
    view.button(name).click();
    expect(view.model.send.mock.calls).toEqual([[{ type: "command", command }]]);
  });
});

import { afterEach, describe, expect, it } from "vitest";

import type { RunData } from "../../src/panel/model";
import { openPanel, press, type View } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

const FIRST: RunData = {
  number: 1,
  name: "Run 1",
  result: "400 steps, 31 edges",
  differences: "",
  shown: true,
};
const SECOND: RunData = {
  number: 4,
  name: "dear",
  result: "400 steps, 12 edges",
  differences: "since Run 1: Lambda 10 → 30",
  shown: false,
};
const RUNS = [FIRST, SECOND];

function control(view: View, label: string): HTMLInputElement {
  const found = view.el.querySelector<HTMLInputElement>(`[aria-label="${label}"]`);
  if (!found) throw new Error(`no ${label}`);
  return found;
}

describe("the finished runs", () => {
  it("are listed with how they ended and how they differ", () => {
    const view = openPanel({ runs: RUNS, since_last_run: "since dear: Epochs 4 → 5" });
    expect([...view.el.querySelectorAll("[role=tab]")].map((each) => each.textContent)).toEqual([
      "Settings",
      "Runs (2)",
      "Code",
    ]);
    const rows = [...view.el.querySelectorAll(".sp-run-row")].map((row) => row.textContent);
    expect(rows[0]).toContain("400 steps, 31 edges");
    expect(rows[1]).toContain("since Run 1: Lambda 10 → 30");
    expect(rows[1]).toContain(".runs[1].prune_scores");
    expect(view.el.textContent).toContain("This run, since dear: Epochs 4 → 5.");
  });

  it("say where they come from while there are none", () => {
    const view = openPanel();
    expect(view.el.textContent).toContain("Reset keeps the finished run here");
  });

  it("can be shown, renamed and deleted", () => {
    const view = openPanel({ runs: RUNS });
    control(view, "Show dear in the chart").click();
    const name = control(view, "Name of Run 1");
    name.value = "cheap";
    name.dispatchEvent(new Event("change", { bubbles: true }));
    control(view, "Delete dear").click();
    expect(view.model.send.mock.calls).toEqual([
      [{ type: "run", number: 4, shown: true }],
      [{ type: "run", number: 1, name: "cheap" }],
      [{ type: "run", number: 4, delete: true }],
    ]);
    // A name that Python refuses does not stay there.
    expect(name.value).toBe("Run 1");
    view.model.set("runs", [{ ...FIRST, name: "cheap" }, SECOND]);
    expect(control(view, "Name of cheap").value).toBe("cheap");
  });

  it("take back a name at Escape", () => {
    const view = openPanel({ runs: RUNS });
    const name = control(view, "Name of dear");
    name.focus();
    name.value = "x";
    press(name, "Escape");
    expect(name.value).toBe("dear");
  });

  it("keep the keyboard in the list when one is deleted", () => {
    const view = openPanel({ runs: RUNS });
    control(view, "Delete dear").focus();
    view.model.set("runs", [FIRST]);
    expect(document.activeElement?.textContent).toBe("Runs (1)");
    expect(view.el.querySelectorAll(".sp-run-row")).toHaveLength(1);
  });
});

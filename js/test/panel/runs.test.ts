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
  colour: "#d1495b",
  edges: 31,
  faithfulness: 0.02,
  target: "KL divergence",
};
const SECOND: RunData = {
  number: 4,
  name: "dear",
  result: "400 steps, 12 edges",
  differences: "since Run 1: Lambda 10 → 30",
  shown: false,
  colour: "#3a7ca5",
  edges: 12,
  faithfulness: 0.4,
  target: "KL divergence",
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

  it("stand with faithfulness against edges in one picture, each in its colour", () => {
    const view = openPanel({ runs: RUNS });
    const picture = view.el.querySelector<SVGElement>(".sp-scatter");
    expect(picture?.getAttribute("aria-label")).toBe(
      "KL divergence against edges. Run 1: 31 edges, KL divergence 0.0200; " +
        "dear: 12 edges, KL divergence 0.400",
    );
    const dots = [...(picture?.querySelectorAll("circle") ?? [])];
    expect(dots.map((dot) => dot.getAttribute("fill"))).toEqual(["#d1495b", "#3a7ca5"]);
    const [first, second] = dots;
    const at = (dot: SVGCircleElement | undefined, name: string): number =>
      Number(dot?.getAttribute(name));
    expect(at(first, "cx")).toBeGreaterThan(at(second, "cx"));
    expect(at(first, "cy")).toBeGreaterThan(at(second, "cy"));
    // Another measure is not compared with them.
    view.model.set("runs", [FIRST, { ...SECOND, target: "Mean squared error" }]);
    expect(picture?.querySelectorAll("circle")).toHaveLength(1);
    view.model.set("runs", [{ ...FIRST, faithfulness: null }]);
    expect(picture?.hasAttribute("hidden")).toBe(true);
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
    expect(document.activeElement?.textContent).toMatch(/^Runs/);
    expect(view.el.querySelectorAll(".sp-run-row")).toHaveLength(1);
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { layOut } from "../../src/circuit/layout";
import type { CircuitTraits, MeasuredData } from "../../src/circuit/model";
import { curveOf } from "../../src/circuit/routes";
import { edgeNamed, readGraph } from "./graphs";
import {
  enter,
  openCircuit,
  preparePage,
  press,
  scoresOf,
  settle,
  SMALL,
  strokes,
  tidyPage,
  type View,
} from "./setup";

beforeEach(preparePage);
afterEach(tidyPage);

const CIRCUIT = ["Resid Start->A0.0.V", "A0.0->A1.1.Q", "A1.1->Resid End", "A0.1->MLP 1"];
const scores = scoresOf(SMALL, CIRCUIT);

function open(traits: Partial<CircuitTraits> = {}): View {
  return openCircuit({ scores, n_edges: 3, ...traits });
}

function button(view: View, label: string): HTMLButtonElement {
  const found = [...view.el.querySelectorAll("button")].find(
    (each) =>
      !each.hidden &&
      [each.textContent, each.getAttribute("aria-label")?.split(" ")[0]].includes(label),
  );
  if (!found) throw new Error(`There is no button ${label}.`);
  return found;
}

function measured(view: View, changes: Partial<MeasuredData>): void {
  view.model.set("measured", { ...view.model.get("measured"), metric: "KL", ...changes });
  settle();
}

/** Moves the pointer to the middle of the line of an edge. */
function pointAt(view: View, name: string): { clientX: number; clientY: number } {
  const graph = readGraph(SMALL);
  const layout = layOut(graph, new Uint8Array(graph.nSpots).fill(1), 700);
  const curve = curveOf(graph, layout, edgeNamed(graph, name));
  const [from, to] = [curve.length - 8, curve.length - 2];
  const middle = (axis: number): number =>
    ((curve[from + axis] ?? 0) +
      3 * (curve[from + 2 + axis] ?? 0) +
      3 * (curve[from + 4 + axis] ?? 0) +
      (curve[to + axis] ?? 0)) /
    8;
  const place = { clientX: middle(0), clientY: middle(1) };
  view.el
    .querySelector(".spc-nodes")
    ?.dispatchEvent(new MouseEvent("pointermove", { bubbles: true, ...place }));
  settle();
  return place;
}

describe("a switch", () => {
  it("takes a node out by X, which a second press puts back; the kernel learns of it at once", () => {
    const view = open();
    view.node("A1.1").focus();
    press(view.node("A1.1"), "x");
    expect(view.model.get("switches")).toEqual(["-A1.1"]);
    expect(view.model.save_changes).toHaveBeenCalledOnce();
    settle();
    expect(view.nodes()).toContain("A1.1, head 1 of block 1, not in the circuit");
    expect(view.text(".spc-legend")).toContain("Switched off2");
    expect(view.control("Number of edges").value).toBe("3");
    press(view.node("A1.1"), "x");
    settle();
    expect(view.model.get("switches")).toEqual(["-A1.1", "=A1.1"]);
    expect(view.nodes()).toContain("A1.1, head 1 of block 1, 2 edges in the circuit");
  });

  it("is drawn with a dash of its own, off as well as on", () => {
    open({ switches: ["-A1.1->Resid End", "+A0.1->Resid End"] });
    const dashes = strokes
      .filter(({ canvas, lines }) => canvas.includes("front") && lines > 0)
      .map(({ dash }) => dash.join(" "));
    expect(dashes).toContain("1 4");
    expect(dashes).toContain("10 3 2 3");
  });

  it("of an edge is a click with the Shift key, or a button where the edge is pinned", () => {
    const view = open();
    const place = pointAt(view, "A0.0->A1.1.Q");
    const nodes = view.el.querySelector(".spc-nodes");
    nodes?.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true, ...place }));
    expect(view.model.get("switches")).toEqual(["-A0.0->A1.1.Q"]);
    settle();
    nodes?.dispatchEvent(new MouseEvent("click", { bubbles: true, ...place }));
    settle();
    expect(view.model.get("pinned")).toBe("A0.0->A1.1.Q");
    button(view, "Switch on").click();
    settle();
    expect(view.model.get("switches")).toEqual(["-A0.0->A1.1.Q", "=A0.0->A1.1.Q"]);
    button(view, "Switch off");
  });

  it("can be undone and made again, by button and by key, and all at once", () => {
    const view = open({ switches: ["-A1.1", "+A0.1"] });
    button(view, "Undo").click();
    settle();
    expect(view.model.get("switches")).toEqual(["-A1.1"]);
    press(view.node("A0.0"), "z");
    settle();
    expect(view.model.get("undone")).toEqual(["+A0.1", "-A1.1"]);
    expect(button(view, "Undo").disabled).toBe(true);
    press(view.node("A0.0"), "y");
    settle();
    button(view, "Redo").click();
    settle();
    expect(view.model.get("switches")).toEqual(["-A1.1", "+A0.1"]);
    button(view, "Reset").click();
    settle();
    expect(view.model.get("switches")).toEqual([]);
    button(view, "Redo").click();
    expect(view.model.get("switches")).toEqual(["-A1.1"]);
  });

  it("does not take letters that are typed into a field", () => {
    const view = open({ pinned: "A1.1" });
    press(view.control("Find"), "x");
    expect(view.model.get("switches")).toEqual([]);
  });
});

describe("what a switch changes", () => {
  it("is measured by the kernel, … until it is", () => {
    const view = open({ switches: ["-A1.1"] });
    expect(view.text(".spc-effect")).toBe("KL … → …");
    measured(view, { key: "3 -A1.1", circuit: 0.5 });
    expect(view.text(".spc-effect")).toBe("KL … → 0.500");
    measured(view, { key: "3 -A1.1", circuit: 0.5, unedited: 0.2 });
    expect(view.text(".spc-effect")).toBe("KL 0.200 → 0.500 (+0.300)");
    // Of another circuit nothing is known, until it comes back.
    enter(view.control("Number of edges"), "4");
    settle();
    expect(view.text(".spc-effect")).toBe("KL … → …");
    enter(view.control("Number of edges"), "3");
    settle();
    expect(view.text(".spc-effect")).toContain("(+0.300)");
    view.model.set("scores", scoresOf(SMALL, [...CIRCUIT].reverse()));
    settle();
    expect(view.text(".spc-effect")).toBe("KL … → …");
  });

  it("is not there with other scores, for want of prompts, or without a kernel", () => {
    const view = open({ switches: ["-A1.1"] });
    measured(view, { note: "No prompts to measure on." });
    expect(view.text(".spc-effect")).toBe("No prompts to measure on.");
    view.el.classList.add("jupyter-widgets-disconnected");
    press(view.node("A0.0"), "x");
    settle();
    expect(view.text(".spc-effect")).toContain("needs a kernel");
    expect(view.text(".spc-told")).toContain("Keeping it needs a kernel");
    expect(button(view, "Keep").disabled).toBe(true);
    expect(view.control("Name of the circuit").disabled).toBe(true);
  });

  it("is kept under a name by the kernel", () => {
    const view = open({ switches: ["-A1.1"] });
    expect(button(view, "Keep").disabled).toBe(true);
    enter(view.control("Name of the circuit"), " no A1.1 ");
    button(view, "Keep").click();
    expect(view.model.send).toHaveBeenCalledWith({
      type: "keep",
      name: "no A1.1",
      size: 3,
      switches: ["-A1.1"],
    });
    view.model.set("kept", [{ name: "no A1.1", edges: 1 }]);
    settle();
    expect(view.text(".spc-told")).toBe("Kept: no A1.1 (1 edge)");
  });
});

describe("an edge under the pointer", () => {
  it("is named with score and rank, and its effect is asked for when the pointer rests", () => {
    const view = open();
    pointAt(view, "A0.0->A1.1.Q");
    expect(view.text(".spc-details-title")).toBe("A0.0 → A1.1.Q");
    expect(view.text(".spc-words")).toBe("Score 3.00, rank 2 of 46, on a path");
    expect(view.text(".spc-edge-effect")).toBe("Without it: KL … → …");
    settle();
    expect(view.model.get("asked")).toBe("A0.0->A1.1.Q");
    measured(view, { key: "3", edge: "A0.0->A1.1.Q", circuit: 0.2, other: 0.5 });
    expect(view.text(".spc-edge-effect")).toBe("Without it: KL 0.200 → 0.500 (+0.300)");
    view.el.querySelector(".spc-nodes")?.dispatchEvent(new Event("pointerleave"));
    settle();
    expect(view.text(".spc-details-title")).toBe("The circuit");
    expect(view.model.get("asked")).toBe("");
  });

  it("can be pinned from the list of a node, and leads to its ends", () => {
    const view = open({ pinned: "A1.1" });
    const row = view.el.querySelector<HTMLButtonElement>('[aria-label^="Edge A0.0->A1.1.Q"]');
    row?.focus();
    row?.click();
    settle();
    expect(view.model.get("pinned")).toBe("A0.0->A1.1.Q");
    // The keyboard is still in the view, and switches what is pinned.
    press(document.activeElement as HTMLElement, "x");
    expect(view.model.get("switches")).toEqual(["-A0.0->A1.1.Q"]);
    expect(view.text(".spc-lists")).toContain("FromA0.0ToA1.1");
    button(view, "A1.1").click();
    settle();
    expect(view.text(".spc-details-title")).toBe("A1.1");
  });
});

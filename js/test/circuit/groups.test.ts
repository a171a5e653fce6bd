import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { outlinesOf, regrouped } from "../../src/circuit/groups";
import { layOut, withEnds } from "../../src/circuit/layout";
import { OUTLINE_CASES, plainModel, readGraph } from "./graphs";
import { openCircuit, preparePage, scoresOf, settle, SMALL, tidyPage, type View } from "./setup";

describe("the outlines of groups", () => {
  it.each(OUTLINE_CASES.map((one) => [one.name, one] as const))("%s: as saved", (_, one) => {
    const graph = readGraph(plainModel(one.model));
    const nBoxes = graph.data.boxes.length;
    const wanted = graph.data.boxes.map(({ name }) => Number(one.shown?.includes(name) ?? true));
    const everywhere = Uint8Array.from({ length: graph.nSpots }, (_, i) => wanted[i % nBoxes] ?? 0);
    const layout = layOut(graph, withEnds(graph, everywhere), one.width);
    const found = outlinesOf(graph, layout, one.groups);
    expect(found).toHaveLength(one.outlines.length);
    found.forEach((outline, i) => {
      const [group, left, top, width, height, named] = one.outlines[i] ?? [];
      expect([outline.group, outline.named]).toEqual([group, named]);
      const places = [left, top, width, height] as number[];
      [outline.left, outline.top, outline.width, outline.height].forEach((value, axis) => {
        expect(Math.abs(value - (places[axis] ?? NaN))).toBeLessThan(0.01);
      });
    });
  });
});

describe("a node that is gathered", () => {
  const groups = [
    { name: "movers", nodes: ["A1.0", "A1.1"], note: "copy" },
    { name: "rest", nodes: ["A0.0"], note: "" },
  ];

  it("leaves the group that it was in, which goes when it is empty", () => {
    expect(regrouped(groups, "A0.0", "movers")).toEqual([
      { name: "movers", nodes: ["A1.0", "A1.1", "A0.0"], note: "copy" },
    ]);
    expect(regrouped(groups, "A0.1", "new").at(-1)).toEqual({
      name: "new",
      nodes: ["A0.1"],
      note: "",
    });
    expect(regrouped(groups, "A1.0", "")[0]?.nodes).toEqual(["A1.1"]);
  });
});

describe("groups in the view", () => {
  beforeEach(preparePage);
  afterEach(tidyPage);
  const scores = scoresOf(SMALL, ["Resid Start->A0.0.V", "A0.0->A1.1.Q", "A1.1->Resid End"]);

  const fill = (view: View, label: string, text: string): void => {
    const field = view.control(label);
    field.value = text;
    field.dispatchEvent(new Event("change"));
    settle();
  };

  it("are named, annotated and outlined, and part of what a node is called", () => {
    const view = openCircuit({ scores, n_edges: 3, pinned: "A1.1" });
    fill(view, "Group", "movers");
    fill(view, "Note on the group", "they copy");
    expect(view.model.get("groups")).toEqual([
      { name: "movers", nodes: ["A1.1"], note: "they copy" },
    ]);
    expect(view.text(".spc-group-name")).toBe("movers");
    expect(view.nodes()).toContain(
      "A1.1, head 1 of block 1, 2 edges in the circuit, in the group movers",
    );
    expect(view.model.save_changes).toHaveBeenCalled();
    view.model.set("pinned", "");
    settle();
    expect(view.text(".spc-lists")).toBe("moversthey copyA1.1");
    view.model.set("pinned", "A1.1");
    settle();
    fill(view, "Group", "");
    expect(view.model.get("groups")).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";

import { createNames, edgeName } from "../../src/circuit/names";
import { edited, nextSwitch } from "../../src/circuit/switches";
import { edgeNamed, plainModel, readGraph, SWITCH_CASES } from "./graphs";

describe("a circuit that is switched by hand", () => {
  it.each(SWITCH_CASES.map((one) => [one.name, one] as const))("%s: as in Python", (_, one) => {
    const graph = readGraph(plainModel(one.model));
    const inside = one.circuit.map((name) => edgeNamed(graph, name));
    const others = Array.from({ length: graph.nEdges }, (_, i) => i).filter(
      (edge) => !inside.includes(edge),
    );
    const order = Uint32Array.from([...inside, ...others]);
    const after = edited(createNames(graph), order, inside.length, one.switches);
    const found = [...after.order.subarray(0, after.size)].map((edge) => edgeName(graph, edge));
    expect(found.sort()).toEqual([...one.result].sort());
    expect([...after.order].sort((a, b) => a - b)).toEqual([...order].sort((a, b) => a - b));
    const off = one.circuit.filter((name) => !one.result.includes(name));
    expect([...after.off].map((edge) => edgeName(graph, edge)).sort()).toEqual(off.sort());
  });
});

describe("the next press", () => {
  const graph = readGraph(plainModel({ blocks: 2, heads: 2 }));
  const names = createNames(graph);
  const included = new Uint8Array(graph.nEdges);
  included[edgeNamed(graph, "A0.0->A1.1.Q")] = 1;

  it.each([
    [[], "A0.0", "-A0.0"],
    [[], "A0.1", "+A0.1"],
    [[], "A0.0->A1.1.Q", "-A0.0->A1.1.Q"],
    [[], "A0.0->A1.1.K", "+A0.0->A1.1.K"],
    [["-A0.0"], "A0.0", "=A0.0"],
    [["-A0.0", "=A0.0"], "A0.0", "-A0.0"],
    [["+A0.1"], "A0.1", "=A0.1"],
  ])("after %j on %s is %s", (switches, name, wanted) => {
    expect(nextSwitch(names, switches, included, name)).toBe(wanted);
  });
});

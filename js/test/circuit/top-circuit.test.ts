import { describe, expect, it } from "vitest";

import { topCircuit, shownSize, verdictOn } from "../../src/circuit/top-circuit";
import type { Graph } from "../../src/circuit/graph";
import { edgeNamed, plainModel, readGraph, spotNamed } from "./graphs";

/** All edges, those of these names first. */
function ordered(graph: Graph, names: string[]): Uint32Array {
  const first = names.map((name) => edgeNamed(graph, name));
  const rest = Array.from({ length: graph.nEdges }, (_, edge) => edge);
  return Uint32Array.from([...first, ...rest.filter((edge) => !first.includes(edge))]);
}

const NAMES = ["Resid Start->A0.0.V", "A0.0->Resid End", "A0.1->MLP 0"];

describe("a circuit", () => {
  const graph = readGraph(plainModel({ blocks: 1, heads: 2 }));
  const circuit = topCircuit(graph, ordered(graph, NAMES), 3, null);

  it("counts the edges of each node, and which lie on a path", () => {
    expect(circuit.degree[spotNamed(graph, "A0.0")]).toBe(2);
    expect(circuit.degree[spotNamed(graph, "A0.1")]).toBe(1);
    expect(circuit.nCarrying).toBe(2);
    expect(circuit.nAlive).toBe(3);
    expect(circuit.alive[spotNamed(graph, "A0.0")]).toBe(1);
    expect(circuit.alive[spotNamed(graph, "A0.1")]).toBe(0);
  });

  it("has no verdicts where no circuit is known", () => {
    expect(verdictOn(circuit, edgeNamed(graph, NAMES[0] ?? ""))).toBeNull();
    expect(circuit.misses).toHaveLength(0);
  });

  it("can be empty and can be the whole model", () => {
    const order = ordered(graph, []);
    expect(topCircuit(graph, order, 0, null)).toMatchObject({ nCarrying: 0, nAlive: 0 });
    expect(topCircuit(graph, order, graph.nEdges, null)).toMatchObject({
      nCarrying: graph.nEdges,
      nAlive: graph.nSpots,
    });
  });
});

describe("beside a known circuit", () => {
  const plain = readGraph(plainModel({ blocks: 1, heads: 2 }));
  const official = ["A0.0->Resid End", "MLP 0->Resid End"].map((name) => edgeNamed(plain, name));
  const graph = readGraph({ ...plain.data, official });
  const circuit = topCircuit(graph, ordered(graph, NAMES), 3, graph.official);

  it.each([
    ["A0.0->Resid End", "hit"],
    ["MLP 0->Resid End", "miss"],
    ["Resid Start->A0.0.V", "extra"],
  ])("%s is a %s", (name, verdict) => {
    expect(verdictOn(circuit, edgeNamed(graph, name))).toBe(verdict);
  });

  it("hits and misses are counted, and the nodes of misses marked", () => {
    expect(circuit.hits).toBe(1);
    expect([...circuit.misses]).toEqual([edgeNamed(graph, "MLP 0->Resid End")]);
    expect(circuit.missed[spotNamed(graph, "MLP 0")]).toBe(1);
    expect(circuit.missed[spotNamed(graph, "A0.0")]).toBe(0);
  });
});

describe("between token positions", () => {
  const shape = { blocks: 1, heads: 1, mlp: false, positions: ["a", "b", "c"] };
  const names = ["0:Resid Start->A0.0.V", "2:A0.0->Resid End"];

  it("attention carries from the first reading to the last writing", () => {
    const graph = readGraph(plainModel(shape));
    const head = spotNamed(graph, "A0.0");
    const nBoxes = graph.data.boxes.length;
    const circuit = topCircuit(graph, ordered(graph, names), 2, null);
    expect(circuit.moves).toEqual([[head, 2 * nBoxes + head]]);
  });

  it("attention carries nothing back, unless it looks both ways", () => {
    const back = ["2:Resid Start->A0.0.V", "0:A0.0->Resid End"];
    const causal = readGraph(plainModel(shape));
    expect(topCircuit(causal, ordered(causal, back), 2, null).moves).toEqual([]);
    const both = readGraph({ ...plainModel(shape), causal: false });
    expect(topCircuit(both, ordered(both, back), 2, null).moves).toHaveLength(1);
  });
});

describe("the number of edges shown", () => {
  it.each([
    ["what a person chose", 7, 30, 15, 7],
    ["else what the training counts", null, 30, 15, 30],
    ["else as many as are known", null, null, 15, 15],
    ["else a small circuit", null, null, null, 50],
    ["a small circuit beside a known one without edges", null, null, 0, 50],
    ["never more than there are", 10_000, null, null, 100],
    ["never fewer than none", -3, null, null, 0],
  ])("%s", (_, chosen, training, known, shown) => {
    expect(shownSize(chosen, training, known, 100)).toBe(shown);
  });
});

import { describe, expect, it } from "vitest";

import { onPaths } from "../../src/circuit/paths";
import { edgeNamed, edgeNames, PATH_CASES, readGraph } from "./graphs";

describe("the edges on a path from input to output", () => {
  it.each(PATH_CASES)("$name", ({ graph: data, circuit, idle }) => {
    const graph = readGraph(data);
    const marks = new Uint8Array(graph.nEdges);
    for (const name of circuit) marks[edgeNamed(graph, name)] = 1;
    const carrying = onPaths(graph, marks);
    const found = edgeNames(graph).filter((_, edge) => carrying[edge]);
    expect(found.sort()).toEqual(circuit.filter((name) => !idle.includes(name)).sort());
  });

  it.each(PATH_CASES)("are all edges of a whole model: $name", ({ graph: data }) => {
    const graph = readGraph({ ...data, outputs: [0, data.positions?.length ?? 1] });
    expect(onPaths(graph, new Uint8Array(graph.nEdges).fill(1))).not.toContain(0);
  });
});

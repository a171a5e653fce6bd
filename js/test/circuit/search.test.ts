import { describe, expect, it } from "vitest";

import { spotName } from "../../src/circuit/graph";
import { readPin, searchNodes } from "../../src/circuit/search";
import { PATH_CASES, plainModel, readGraph, spotNamed } from "./graphs";

const gpt2 = readGraph(plainModel({ blocks: 12, heads: 12 }));
const words = readGraph(
  plainModel({ blocks: 2, heads: 2, positions: ["When", "Mary", "and", "Mary"] }),
);

function found(query: string): string[] {
  return searchNodes(gpt2, query).spots.map((spot) => spotName(gpt2, spot));
}

describe("the search", () => {
  it.each([
    ["A9.6", "A9.6"],
    ["a9.6", "A9.6"],
    ["9.6", "A9.6"],
    [" A 9.6 ", "A9.6"],
    ["A1.1", "A1.1"],
    ["MLP 3", "MLP 3"],
    ["mlp3", "MLP 3"],
    ["m3", "MLP 3"],
    ["MLP 1", "MLP 1"],
    ["Resid Start", "Resid Start"],
    ["embedding", "Resid Start"],
    ["logits", "Resid End"],
  ])("finds one node by %j", (query, name) => {
    expect(found(query)).toEqual([name]);
  });

  it("finds a port of a head", () => {
    expect(searchNodes(gpt2, "A9.6.Q")).toEqual({ spots: [spotNamed(gpt2, "A9.6")], port: "Q" });
    expect(searchNodes(gpt2, "9.6.v").port).toBe("V");
    expect(found("MLP 3.Q")).toEqual([]);
  });

  it("finds all heads of a block and no other's", () => {
    expect(found("A1")).toEqual(Array.from({ length: 12 }, (_, head) => `A1.${head}`));
    expect(found("11")).toHaveLength(12);
    expect(found("MLP")).toHaveLength(12);
  });

  it.each(["", "  ", "A12.0", "A9.12", "nothing"])("finds nothing by %j", (query) => {
    expect(found(query)).toEqual([]);
  });

  it("finds a node at every token position, or at those of a number or a word", () => {
    const spots = (query: string): string[] =>
      searchNodes(words, query).spots.map((spot) => spotName(words, spot));
    expect(spots("A1.0")).toEqual(["0:A1.0", "1:A1.0", "2:A1.0", "3:A1.0"]);
    expect(spots("2:A1.0")).toEqual(["2:A1.0"]);
    expect(spots("mary:A1.0")).toEqual(["1:A1.0", "3:A1.0"]);
    expect(spots("7:A1.0")).toEqual([]);
    expect(spots("and:")).toHaveLength(words.data.boxes.length);
  });

  it("finds the keys and values that heads share by the names that the graph has for them", () => {
    const shared = PATH_CASES.find(({ name }) => name.includes("share"));
    const graph = readGraph((shared ?? { graph: gpt2.data }).graph);
    const names = (query: string): string[] =>
      searchNodes(graph, query).spots.map((spot) => spotName(graph, spot));
    expect(names("A0.1")).toEqual(["A0.1"]);
    expect(names("A0.1.Q")).toEqual(["A0.1"]);
    expect(names("A0.1.K")).toEqual(["A0.1.KV"]);
    expect(names("A0.1.KV")).toEqual(["A0.1.KV"]);
  });
});

describe("a pin", () => {
  it("names every node of every graph", () => {
    for (const graph of [gpt2, words, ...PATH_CASES.map(({ graph: data }) => readGraph(data))]) {
      for (let spot = 0; spot < graph.nSpots; spot++) {
        expect(readPin(graph, spotName(graph, spot))).toEqual({ spot, port: "" });
      }
    }
  });

  it("names a port, and nothing where it is unknown or not one node", () => {
    expect(readPin(gpt2, "A9.6.K")).toEqual({ spot: spotNamed(gpt2, "A9.6"), port: "K" });
    expect(readPin(gpt2, "")).toBeNull();
    expect(readPin(gpt2, "A9")).toBeNull();
    expect(readPin(words, "A1.0")).toBeNull();
  });
});

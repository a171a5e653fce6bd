import { describe, expect, it } from "vitest";

import { curveOf, portX } from "../../src/circuit/routes";
import { boxAt, spotName, type Graph } from "../../src/circuit/graph";
import { layOut, spaced, withEnds, type Layout } from "../../src/circuit/layout";
import { spotAfterKey } from "../../src/circuit/nodes";
import {
  edgeNamed,
  edgeNames,
  graphOf,
  LAYOUT_CASES,
  PATH_CASES,
  plainModel,
  readGraph,
  spotNamed,
} from "./graphs";

const gpt2 = readGraph(plainModel({ blocks: 12, heads: 12 }));
const GRAPHS: [string, Graph][] = [
  ["GPT-2 small", gpt2],
  ["a parallel model", readGraph(plainModel({ blocks: 5, heads: 6, parallel: true }))],
  [
    "a token-wise model",
    readGraph(plainModel({ blocks: 2, heads: 2, positions: ["a", "b", "c", "d"] })),
  ],
  ...PATH_CASES.map(({ name, graph }): [string, Graph] => [name, readGraph(graph)]),
];

function whole(graph: Graph, available: number): Layout {
  return layOut(graph, new Uint8Array(graph.nSpots).fill(1), available);
}

function only(graph: Graph, names: string[], available: number): Layout {
  const wanted = new Uint8Array(graph.nSpots);
  for (const name of names) wanted[spotNamed(graph, name)] = 1;
  return layOut(graph, withEnds(graph, wanted), available);
}

function at(graph: Graph, layout: Layout, name: string): { x: number; y: number } {
  const spot = spotNamed(graph, name);
  return { x: layout.x[spot] ?? NaN, y: layout.y[spot] ?? NaN };
}

/** The shown boxes: left, top, right, bottom. */
function rectangles(layout: Layout): [number, number, number, number][] {
  return [...layout.shown.keys()]
    .filter((spot) => layout.shown[spot])
    .map((spot) => {
      const [x, y, width] = [layout.x[spot] ?? 0, layout.y[spot] ?? 0, layout.boxWidth[spot] ?? 0];
      const half = layout.boxHeight / 2;
      return [x - width / 2, y - half, x + width / 2, y + half];
    });
}

describe("the layout", () => {
  it("puts layers from bottom to top", () => {
    for (const [, graph] of GRAPHS) {
      const layout = whole(graph, 800);
      for (let edge = 0; edge < graph.nEdges; edge++) {
        const [from, to] = [graph.from[edge] ?? 0, graph.to[edge] ?? 0];
        expect(layout.y[from]).toBeGreaterThan(layout.y[to] ?? 0);
      }
    }
  });

  it("puts the heads of a block in a row and its MLP beside them, above if it reads them", () => {
    const layout = whole(gpt2, 800);
    const heads = Array.from({ length: 12 }, (_, i) => at(gpt2, layout, `A3.${i}`));
    expect(new Set(heads.map(({ y }) => y)).size).toBe(1);
    expect(heads.map(({ x }) => x)).toEqual(heads.map(({ x }) => x).sort((a, b) => a - b));
    const mlp = at(gpt2, layout, "MLP 3");
    expect(mlp.x).toBeGreaterThan(heads[11]?.x ?? 0);
    expect(mlp.y).toBeLessThan(heads[0]?.y ?? 0);
    expect(mlp.y).toBeGreaterThan(at(gpt2, layout, "A4.0").y);
  });

  it("puts the MLP of a parallel block in the row of its heads", () => {
    const graph = readGraph(plainModel({ blocks: 2, heads: 3, parallel: true }));
    const layout = whole(graph, 800);
    expect(at(graph, layout, "MLP 1").y).toBe(at(graph, layout, "A1.0").y);
  });

  it.each([420, 700, 1000, 1800])("of %i pixels leaves every box free and inside", (available) => {
    for (const [, graph] of GRAPHS) {
      const layout = whole(graph, available);
      const boxes = rectangles(layout);
      boxes.forEach(([left, top, right, bottom], i) => {
        expect(left).toBeGreaterThanOrEqual(0);
        expect(top).toBeGreaterThanOrEqual(0);
        expect(right).toBeLessThanOrEqual(layout.width);
        expect(bottom).toBeLessThanOrEqual(layout.height);
        for (const other of boxes.slice(i + 1)) {
          const apart =
            right <= other[0] || other[2] <= left || bottom <= other[1] || other[3] <= top;
          expect(apart).toBe(true);
        }
      });
    }
  });

  it.each([370, 700])("of GPT-2 small in %i pixels needs no scrolling", (available) => {
    expect(whole(gpt2, available).width).toBe(available);
  });

  it("is wider than the room only where boxes would become too small", () => {
    const words = Array.from({ length: 15 }, (_, i) => String(i));
    const graph = readGraph(plainModel({ blocks: 12, heads: 12, positions: words }));
    const layout = whole(graph, 700);
    expect(layout.width).toBeGreaterThan(700);
    expect(Math.min(...layout.boxWidth)).toBeGreaterThanOrEqual(20);
  });

  it("puts token positions side by side, each with the same picture", () => {
    const graph = readGraph(plainModel({ blocks: 2, heads: 2, positions: ["a", "b", "c"] }));
    const layout = whole(graph, 700);
    const nBoxes = graph.data.boxes.length;
    const step = (layout.columns[1]?.x ?? 0) - (layout.columns[0]?.x ?? 0);
    expect(step).toBeGreaterThan(layout.columns[0]?.width ?? 0);
    for (let spot = 0; spot < 2 * nBoxes; spot++) {
      expect((layout.x[spot + nBoxes] ?? 0) - (layout.x[spot] ?? 0)).toBeCloseTo(step, 3);
      expect(layout.y[spot + nBoxes]).toBe(layout.y[spot]);
    }
  });
});

describe("the picture of", () => {
  it.each(LAYOUT_CASES.map((one) => [one.name, one] as const))("%s is the saved one", (_, one) => {
    const graph = graphOf(one);
    const nBoxes = graph.data.boxes.length;
    const wanted = graph.data.boxes.map(({ name }) => Number(one.shown?.includes(name) ?? true));
    const everywhere = Uint8Array.from({ length: graph.nSpots }, (_, i) => wanted[i % nBoxes] ?? 0);
    const layout = layOut(graph, withEnds(graph, everywhere), one.width);
    // Places in the browser are 32-bit floats.
    const near = (got: number[], places: number[]): void => {
      expect(got).toHaveLength(places.length);
      got.forEach((value, i) => {
        expect(Math.abs(value - (places[i] ?? NaN))).toBeLessThan(0.01);
      });
    };
    near([layout.width, layout.height], one.size);
    near(
      layout.columns.flatMap(({ x, width }) => [x, width]),
      one.columns.flat(),
    );
    near(
      layout.rows.flatMap(({ block, y }) => [block, y]),
      one.rows.flat(),
    );
    const shown = [...layout.shown.keys()].filter((spot) => layout.shown[spot] === 1);
    const boxes = new Map(shown.map((spot) => [spotName(graph, spot), spot]));
    expect([...boxes.keys()].sort()).toEqual(Object.keys(one.boxes).sort());
    for (const [name, place] of Object.entries(one.boxes)) {
      const spot = boxes.get(name) ?? -1;
      near([layout.x[spot] ?? NaN, layout.y[spot] ?? NaN, layout.boxWidth[spot] ?? NaN], place);
    }
    const names = edgeNames(graph);
    expect(Object.keys(one.routes).length).toBeGreaterThan(2);
    for (const [name, points] of Object.entries(one.routes)) {
      near([...curveOf(graph, layout, names.indexOf(name))], points);
    }
  });
});

describe("the layout of a part of a model", () => {
  const names = ["A0.1", "A9.6", "A9.9", "MLP 0"];

  it("closes up, and keeps left and right", () => {
    const layout = only(gpt2, names, 700);
    expect(layout.height).toBeLessThan(whole(gpt2, 700).height);
    expect(layout.rows.map(({ block }) => block)).toEqual([0, 9]);
    expect(at(gpt2, layout, "A9.6").x).toBeLessThan(at(gpt2, layout, "A9.9").x);
    expect(at(gpt2, layout, "A0.1").x).toBeLessThan(at(gpt2, layout, "A9.6").x);
  });

  it("always has input and output", () => {
    const layout = only(gpt2, [], 700);
    expect(layout.shown.reduce((sum, one) => sum + one, 0)).toBe(2);
    expect(at(gpt2, layout, "Resid Start").y).toBeGreaterThan(at(gpt2, layout, "Resid End").y);
  });

  it.each([
    [[10, 20, 30], 5, 100, [10, 20, 30]],
    [[10, 12, 14], 10, 100, [10, 20, 30]],
    [[1, 2], 10, 100, [5, 15]],
    [[90, 95, 99], 10, 100, [75, 85, 95]],
    [[50, 50, 50], 40, 90, [15, 45, 75]],
  ])("moves %j to a distance of %i within %i", (wanted, distance, room, places) => {
    expect(spaced(wanted, distance, room)).toEqual(places);
  });
});

describe("an edge", () => {
  it("goes from the top of its source to the port of its destination", () => {
    const layout = whole(gpt2, 800);
    for (const port of ["Q", "K", "V"] as const) {
      const curve = curveOf(gpt2, layout, edgeNamed(gpt2, `A3.2->A9.6.${port}`));
      const from = at(gpt2, layout, "A3.2");
      expect(Math.abs((curve[0] ?? NaN) - from.x)).toBeLessThan((layout.boxWidth[3] ?? 0) / 2);
      expect(curve[1]).toBe(from.y - layout.boxHeight / 2);
      expect(curve.at(-2)).toBe(portX(gpt2, layout, spotNamed(gpt2, "A9.6"), port));
      expect(curve.at(-1)).toBeGreaterThan(at(gpt2, layout, "A9.6").y + layout.boxHeight / 2);
    }
  });

  it("ends at Q left of K, and at K left of V", () => {
    const layout = whole(gpt2, 800);
    const ends = ["Q", "K", "V"].map(
      (port) => curveOf(gpt2, layout, edgeNamed(gpt2, `A3.2->A9.6.${port}`)).at(-2) ?? NaN,
    );
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
  });

  it.each([420, 800])("in %i pixels does not run behind the heads above its source", (width) => {
    const layout = whole(gpt2, width);
    const curve = curveOf(gpt2, layout, edgeNamed(gpt2, "A2.6->A9.6.K"));
    for (let block = 3; block < 9; block++) {
      const { x, y } = at(gpt2, layout, `A${block}.6`);
      const half = (layout.boxWidth[spotNamed(gpt2, `A${block}.6`)] ?? 0) / 2;
      expect(Math.abs(pointAt(curve, y) - x)).toBeGreaterThan(half - 1);
    }
  });

  it("is one curve where nothing is in its way", () => {
    const layout = only(gpt2, ["A2.6", "A9.6"], 800);
    expect(curveOf(gpt2, layout, edgeNamed(gpt2, "A2.6->A9.6.K"))).toHaveLength(8);
  });
});

/** Where a curve is at a height. */
function pointAt(curve: readonly number[], y: number): number {
  const bezier = (start: number, t: number, i: 0 | 1): number => {
    const [a = 0, b = 0, c = 0, d = 0] = [0, 2, 4, 6].map((k) => curve[start + k + i]);
    const s = 1 - t;
    return s * s * s * a + 3 * s * s * t * b + 3 * s * t * t * c + t * t * t * d;
  };
  for (let start = 0; start + 7 < curve.length; start += 6) {
    if (bezier(start, 1, 1) > y) continue;
    let [low, high] = [0, 1];
    for (let i = 0; i < 40; i++) {
      const middle = (low + high) / 2;
      if (bezier(start, middle, 1) > y) low = middle;
      else high = middle;
    }
    return bezier(start, low, 0);
  }
  throw new RangeError("The curve does not come so high.");
}

describe("the arrow keys", () => {
  const layout = whole(gpt2, 800);
  const after = (name: string, key: string): string | null => {
    const next = spotAfterKey(gpt2, layout, spotNamed(gpt2, name), key);
    return next === null ? null : boxAt(gpt2, next).name;
  };

  it.each([
    ["A3.4", "ArrowLeft", "A3.3"],
    ["A3.4", "ArrowRight", "A3.5"],
    ["A3.4", "ArrowUp", "A4.4"],
    ["A3.4", "ArrowDown", "A2.4"],
    ["A3.4", "Home", "A3.0"],
    ["A3.4", "End", "MLP 3"],
    ["A3.11", "ArrowRight", "MLP 3"],
    ["A3.0", "ArrowLeft", null],
    ["A11.6", "ArrowUp", "Resid End"],
    ["A0.6", "ArrowDown", "Resid Start"],
    ["Resid End", "ArrowUp", null],
    ["A3.4", "x", null],
  ])("lead from %s by %s to %s", (from, key, to) => {
    expect(after(from, key)).toBe(to);
  });

  it("reach every node from the first", () => {
    const reached = new Set([0]);
    const open = [0];
    for (let spot = open.pop(); spot !== undefined; spot = open.pop()) {
      for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) {
        const next = spotAfterKey(gpt2, layout, spot, key);
        if (next !== null && !reached.has(next)) {
          reached.add(next);
          open.push(next);
        }
      }
    }
    expect(reached.size).toBe(gpt2.nSpots);
  });
});

import { describe, expect, it } from "vitest";

import { rankEdges, readScores } from "../../src/circuit/ranking";
import { RANKING } from "./graphs";

describe("the order of the edges", () => {
  it("is by absolute score, and among equals the order of the edges, as in Python", () => {
    expect([...rankEdges(Float32Array.from(RANKING.scores))]).toEqual(RANKING.order);
  });

  it("is that of a stable sort, for many scores of all sizes", () => {
    // A fixed pseudo-random sequence with many equal values.
    let state = 1;
    const scores = Float32Array.from({ length: 5000 }, () => {
      state = (state * 16807) % 2147483647;
      return ((state % 200) - 100) * 10 ** ((state % 9) - 4);
    });
    const wanted = Array.from(scores.keys()).sort(
      (a, b) => Math.abs(scores[b] ?? 0) - Math.abs(scores[a] ?? 0) || a - b,
    );
    expect([...rankEdges(scores)]).toEqual(wanted);
  });

  it("leaves the scores as they are", () => {
    const scores = Float32Array.from([1, -3, 2]);
    rankEdges(scores);
    expect([...scores]).toEqual([1, -3, 2]);
  });
});

describe("the scores of a message", () => {
  it("are read from anywhere in a buffer", () => {
    const bytes = new Uint8Array(11);
    const view = new DataView(bytes.buffer, 3, 8);
    view.setFloat32(0, 1.5, true);
    view.setFloat32(4, -2, true);
    expect([...readScores(view)]).toEqual([1.5, -2]);
  });

  it("are none before the first message", () => {
    expect(readScores(null)).toHaveLength(0);
    expect(readScores(new DataView(new ArrayBuffer(0)))).toHaveLength(0);
  });
});

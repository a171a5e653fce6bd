import { describe, expect, it } from "vitest";

import { stepped } from "../../src/panel/stepping";

const FREE = { kind: "number", min: 0, max: null, step: 0 } as const;
const COUNT = { kind: "integer", min: 1, max: null, step: 1 } as const;

describe("an arrow key", () => {
  it.each([
    ["0.1", "0.2", "0.05"],
    ["1e-3", "0.002", "0.0005"],
    ["5", "10", "2"],
    ["3", "5", "2"],
    ["100", "200", "50"],
    ["0", "0.001", "0"],
  ])("goes from %s through 1, 2, 5 to %s and to %s", (text, up, down) => {
    expect(stepped(text, 1, FREE)).toBe(up);
    expect(stepped(text, -1, FREE)).toBe(down);
  });

  it.each([
    ["20", "21", "19"],
    ["1", "2", "1"],
    ["", "1", "1"],
  ])("counts from %s to %s and to %s", (text, up, down) => {
    expect(stepped(text, 1, COUNT)).toBe(up);
    expect(stepped(text, -1, COUNT)).toBe(down);
  });

  it("adds a step without leaving the last digits of binary numbers", () => {
    expect(stepped("0.1", 1, { kind: "number", min: 0, max: 0.99, step: 0.2 })).toBe("0.3");
    expect(stepped("0.95", 1, { kind: "number", min: 0, max: 0.99, step: 0.05 })).toBe("0.99");
    expect(stepped("-1", -1, { kind: "number", step: 0.5 })).toBe("-1.5");
  });

  it("leaves alone what is no number", () => {
    expect(stepped("abc", 1, FREE)).toBeNull();
  });
});

import { afterEach, describe, expect, it } from "vitest";

import { openPanel } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

const EMPTY = { problem: "No edge is left in the circuit.", remedy: "Lower lambda." };
const SATURATED = { problem: "The masks are saturated.", remedy: "Take another value." };

describe("the diagnosis", () => {
  it("says what is off and what to do, and is not there where nothing is", () => {
    const view = openPanel();
    const list = view.el.querySelector<HTMLElement>(".sp-diagnosis");
    expect(list?.hidden).toBe(true);
    view.model.set("diagnosis", [EMPTY, SATURATED]);
    expect(list?.hidden).toBe(false);
    expect([...(list?.children ?? [])].map((line) => line.textContent)).toEqual([
      "No edge is left in the circuit. Lower lambda.",
      "The masks are saturated. Take another value.",
    ]);
    view.model.set("diagnosis", []);
    expect(list?.hidden).toBe(true);
  });

  it("leaves its lines alone while it says the same", () => {
    const view = openPanel({ diagnosis: [EMPTY] });
    const line = view.el.querySelector(".sp-diagnosis li");
    view.model.set("diagnosis", [{ ...EMPTY }]);
    expect(view.el.querySelector(".sp-diagnosis li")).toBe(line);
  });
});

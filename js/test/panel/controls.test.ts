import { afterEach, describe, expect, it } from "vitest";

import type { State } from "../../src/panel/model";
import { IDLE, openPanel, RUNNING } from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

const NAMES = ["Start", "Pause", "Resume", "Stop", "Step", "Reset"];

const ENABLED: Record<State, string[]> = {
  idle: ["Start", "Step"],
  preparing: ["Pause", "Stop"],
  running: ["Pause", "Stop"],
  paused: ["Resume", "Stop", "Step", "Reset"],
  stopping: [],
  done: ["Reset"],
  stopped: ["Reset"],
  failed: ["Reset"],
};

describe("the buttons", () => {
  it.each(Object.entries(ENABLED))("that can be pressed while %s", (state, expected) => {
    const view = openPanel({ status: { ...IDLE, state: state as State } });
    expect(NAMES.filter((name) => !view.button(name).disabled)).toEqual(expected);
  });

  it.each(NAMES)("%s sends its command once", (name) => {
    const state = (Object.keys(ENABLED) as State[]).find((key) => ENABLED[key].includes(name));
    const view = openPanel({ status: { ...IDLE, state: state ?? "idle" } });
    view.button(name).click();
    expect(view.model.send.mock.calls).toEqual([
      [{ type: "command", command: name.toLowerCase() }],
    ]);
  });

  it("keep the keyboard focus when they become unavailable, and do nothing then", () => {
    const view = openPanel();
    const start = view.button("Start");
    start.focus();
    view.model.set("status", RUNNING);

    expect(document.activeElement).toBe(start);
    expect(start.getAttribute("aria-disabled")).toBe("true");
    start.click();
    expect(view.model.send).not.toHaveBeenCalled();

    view.button("Pause").focus();
    expect(start.disabled).toBe(true);
    expect(start.hasAttribute("aria-disabled")).toBe(false);
  });

  it("are ready again after a state that disabled them", () => {
    const view = openPanel();
    const start = view.button("Start");
    start.focus();
    view.model.set("status", RUNNING);
    view.model.set("status", IDLE);
    expect(start.hasAttribute("aria-disabled")).toBe(false);
    start.click();
    expect(view.model.send).toHaveBeenCalledOnce();
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  check,
  data,
  drawn,
  EDGES,
  HARD,
  LOSS,
  nameOf,
  OLD_LOSS,
  openChart,
  openView,
  slide,
  type View,
} from "./setup";

/** Milliseconds after which the kernel has been told. */
const TOLD = 400;

beforeEach(() => {
  // jsdom has no layout and no pointers: the plot is 1,000 pixels wide.
  vi.spyOn(HTMLElement.prototype, "getBoundingClientRect").mockReturnValue(
    new DOMRect(0, 0, 1000, 200),
  );
  HTMLElement.prototype.setPointerCapture = () => undefined;
});

afterEach(() => {
  document.body.replaceChildren();
});

function plot(view: View): HTMLElement {
  const found = view.el.querySelector<HTMLElement>(".spx-plot");
  if (!found) throw new Error("There is no plot.");
  return found;
}

function pointer(view: View, type: string, x: number, options: MouseEventInit = {}): void {
  plot(view).dispatchEvent(new MouseEvent(type, { clientX: x, bubbles: true, ...options }));
}

async function readAt(view: View, x: number): Promise<string[][]> {
  pointer(view, "pointermove", x);
  await drawn();
  return view.legend();
}

describe("the legend", () => {
  it("names every line with its last and its lowest value", async () => {
    const view = await openChart({
      traces: [LOSS, EDGES, OLD_LOSS],
      still: [
        data([
          [1, 0.25],
          [2, 3],
        ]),
      ],
    });
    expect(view.legend()).toEqual([
      ["Line", "Last", "Lowest", "At step –"],
      ["Loss", "1.000", "1.000", ""],
      ["Edges", "100", "100", ""],
      ["Loss, run 1", "3.000", "0.2500", ""],
    ]);
  });

  it("has a dash where there is no value yet", async () => {
    const view = await openChart({ live: [data([]), data([])] });
    expect(view.legend()[1]).toEqual(["Loss", "–", "–", ""]);
  });

  it("begins with the hard circuit once it was measured", async () => {
    const view = await openChart({ traces: [LOSS, EDGES, HARD], still: [data([])] });
    expect(view.legend()).toHaveLength(3);
    view.model.set("still", [data([[20, 0.5]])]);
    await drawn();
    expect(view.legend()[1]?.slice(0, 2)).toEqual(["Hard circuit", "0.5000"]);
  });

  it("reads all lines at the step under the pointer", async () => {
    const view = await openChart({
      traces: [LOSS, EDGES, HARD, OLD_LOSS],
      still: [
        data([
          [20, 0.5],
          [80, 0.25],
        ]),
        data([
          [1, 7],
          [30, 7],
        ]),
      ],
    });
    const rows = await readAt(view, 500);
    const step = Number(/At step (\d+)/.exec(rows[0]?.[3] ?? "")?.[1]);
    expect(step).toBeGreaterThan(48);
    expect(step).toBeLessThan(53);
    // The last evaluation before it, and at the end a run that had ended.
    expect(rows[1]?.[3]).toBe("0.5000");
    expect(Number(rows[2]?.[3])).toBeCloseTo(100 / step, 2);
    expect(rows[3]?.[3]).toBe(String(200 - step));
    expect(rows[4]?.[3]).toBe("–");
    pointer(view, "pointerleave", 500);
    await drawn();
    expect(view.legend()[0]?.[3]).toBe("At step –");
  });

  it("says when the values are only near the step", async () => {
    const view = await openChart({
      live: [
        data(
          [
            [1, 2],
            [50, 4],
          ],
          [[25, 3]],
        ),
        data([]),
      ],
    });
    expect((await readAt(view, 300))[0]?.[3]).toMatch(/^Near step/);
  });

  it("hides a line and shows it again", async () => {
    const view = await openChart();
    check(view.control("Edges"), false);
    expect(view.model.get("hidden")).toEqual(["Edges"]);
  });
});

describe("the controls", () => {
  it("set what is logarithmic, smooth and in view, and tell the kernel once", async () => {
    const view = await openChart();
    check(view.control("Loss axis logarithmic"), true);
    slide(view.control("Smoothing"), 0.5);
    slide(view.control("Smoothing"), 0.6);
    view.button("Zoom in").click();
    expect(view.model.get("log_axes")).toEqual(["left"]);
    expect(view.model.get("smoothing")).toBe(0.6);
    expect(view.model.get("window")).toEqual([26, 76]);
    expect(view.model.save_changes).not.toHaveBeenCalled();
    await new Promise((resolve) => setTimeout(resolve, TOLD));
    expect(view.model.save_changes).toHaveBeenCalledTimes(1);
  });

  it("read a step by the keyboard, in words too, until Escape", async () => {
    const view = await openChart();
    const slider = view.control("Read at step");
    slide(slider, 4);
    await drawn();
    expect(view.legend()[1]?.[3]).toBe("25.00");
    expect(slider.getAttribute("aria-valuetext")).toBe("Step 4, Loss 25.00, Edges 196");
    slider.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    await drawn();
    expect(view.legend()[0]?.[3]).toBe("At step –");
  });

  it("lead back to all steps", async () => {
    const view = await openChart({ window: [20, 40] });
    expect(view.button("Reset view").getAttribute("aria-disabled")).toBeNull();
    view.button("Reset view").click();
    await drawn();
    expect(view.model.get("window")).toBeNull();
    expect(view.button("Reset view").getAttribute("aria-disabled")).toBe("true");
  });

  it("offer one quantity of earlier runs at a time, once there are some", async () => {
    const view = await openChart();
    const select = view.el.querySelector<HTMLSelectElement>(".spx-select");
    expect(select?.closest("[hidden]")).not.toBeNull();
    view.model.set("traces", [LOSS, EDGES, OLD_LOSS]);
    view.model.set("still", [data([[1, 3]])]);
    await drawn();
    expect(select?.closest("[hidden]")).toBeNull();
    expect([...(select?.options ?? [])].map(({ text }) => text)).toEqual([
      "Hard circuit",
      "Loss",
      "Edges",
    ]);
    if (!select) return;
    select.value = "Edges";
    select.dispatchEvent(new Event("change"));
    expect(view.model.get("quantity")).toBe("Edges");
  });

  it("names the panes, and says which is logarithmic", async () => {
    const view = await openChart({ log_axes: ["left"] });
    const captions = [...view.el.querySelectorAll(".spx-caption")].map((each) => each.textContent);
    expect(captions).toEqual(["Loss and its terms, logarithmic", "Edges in the circuit", "Step"]);
  });

  it("leave their keys to themselves", async () => {
    const view = await openChart();
    for (const label of ["Smoothing", "Read at step"]) {
      expect(view.control(label).dataset.lmSuppressShortcuts).toBe("true");
    }
  });

  it("all have names, and no two the same", async () => {
    const view = await openChart();
    const names = [...view.el.querySelectorAll("input")].map(nameOf);
    expect(names).not.toContain("");
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("the plot", () => {
  it("zooms to what is dragged over", async () => {
    const view = await openChart();
    pointer(view, "pointerdown", 200);
    pointer(view, "pointermove", 300);
    pointer(view, "pointermove", 400);
    pointer(view, "pointerup", 400);
    const [from, to] = view.model.get("window") ?? [0, 0];
    expect(from).toBeGreaterThan(18);
    expect(from).toBeLessThan(23);
    expect(to).toBeGreaterThan(38);
    expect(to).toBeLessThan(43);
    pointer(view, "dblclick", 400);
    expect(view.model.get("window")).toBeNull();
  });

  it("is moved by dragging with Shift", async () => {
    const view = await openChart({ window: [40, 60] });
    pointer(view, "pointerdown", 500, { shiftKey: true });
    pointer(view, "pointermove", 400);
    pointer(view, "pointermove", 0);
    expect(view.model.get("window")).toEqual([50, 70]);
    pointer(view, "pointerup", 0);
    expect(view.model.get("window")).toEqual([50, 70]);
  });

  it("does nothing at a click", async () => {
    const view = await openChart();
    pointer(view, "pointerdown", 200);
    pointer(view, "pointermove", 201);
    pointer(view, "pointerup", 201);
    expect(view.model.get("window")).toBeNull();
  });

  it("leaves the wheel to the notebook, unless Ctrl is held", async () => {
    const view = await openChart();
    const wheel = (ctrlKey: boolean): boolean =>
      plot(view).dispatchEvent(
        new WheelEvent("wheel", { deltaY: -100, clientX: 500, ctrlKey, cancelable: true }),
      );
    expect(wheel(false)).toBe(true);
    expect(view.model.get("window")).toBeNull();
    expect(wheel(true)).toBe(false);
    expect(view.model.get("window")).not.toBeNull();
  });
});

describe("the table", () => {
  it("holds the numbers once it is opened, and keeps its rows", async () => {
    const view = await openChart();
    const details = view.el.querySelector<HTMLDetailsElement>(".spx-data");
    if (!details) throw new Error("There is no table.");
    const rows = (): string[] =>
      [...details.querySelectorAll("tr")].map((row) =>
        [...row.cells].map((cell) => cell.textContent).join(" | "),
      );
    expect(rows()).toEqual([]);
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    expect(rows()).toEqual(["Step | Loss | Edges", "1 | 100 | 199", "100 | 1 | –"]);
    const row = details.querySelector("tbody tr");
    view.model.set("table", {
      columns: ["Loss", "Edges"],
      rows: [
        [1, 100, 199],
        [200, 0.5, 7],
      ],
    });
    expect(rows()[2]).toBe("200 | 0.5 | 7");
    expect(details.querySelector("tbody tr")).toBe(row);
  });
});

describe("a view", () => {
  it("shows what was set in another, and what was saved", async () => {
    const view = await openChart({ smoothing: 0.25, log_axes: ["right"] });
    const second = openView(view.model);
    expect(second.control("Smoothing").value).toBe("0.25");
    slide(view.control("Smoothing"), 0.5);
    await drawn();
    expect(second.control("Smoothing").value).toBe("0.5");
  });

  it("has no two elements of the same id, also beside a second view", async () => {
    const view = await openChart();
    openView(view.model);
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(0);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("leaves nothing behind when it is closed, and tells the kernel what it had not", async () => {
    const view = await openChart();
    const listeners = view.model.listenerCount;
    const second = openView(view.model);
    slide(second.control("Smoothing"), 0.5);
    second.close();
    expect(view.model.save_changes).toHaveBeenCalledTimes(1);
    expect(view.model.listenerCount).toBe(listeners);
    expect(second.el.childElementCount).toBe(0);
    // Closed with a frame under way.
    view.model.set("smoothing", 0.75);
    view.close();
    expect(view.model.listenerCount).toBe(0);
    const before = new Map(view.bqplot.updates);
    const get = vi.spyOn(view.model, "get");
    await new Promise((resolve) => setTimeout(resolve, TOLD));
    expect(get).not.toHaveBeenCalled();
    expect(view.model.save_changes).toHaveBeenCalledTimes(1);
    expect(view.bqplot.updates).toEqual(before);
  });
});

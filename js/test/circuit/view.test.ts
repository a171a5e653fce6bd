import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { KNOWN } from "../../src/generated/measures";
import { edgeNamed, plainModel, readGraph } from "./graphs";
import {
  enter,
  observers,
  openCircuit,
  openView,
  preparePage,
  press,
  scoresOf,
  setPageWidth,
  settle,
  SMALL,
  strokes,
  tidyPage,
  type View,
} from "./setup";

beforeEach(preparePage);
afterEach(tidyPage);

/** Chooses a circuit to compare with. */
function choose(view: View, name: string): void {
  const select = view.el.querySelector("select");
  if (!select) throw new Error("There is no choice.");
  select.value = name;
  select.dispatchEvent(new Event("change"));
  settle();
}

/** The entry of the legend that begins with a word. */
function key(view: View, word: string): HTMLElement | undefined {
  return [...view.el.querySelectorAll<HTMLElement>(".spc-key")].find(({ textContent }) =>
    textContent.startsWith(word),
  );
}

const CIRCUIT = ["Resid Start->A0.0.V", "A0.0->A1.1.Q", "A1.1->Resid End", "A0.1->MLP 1"];
const scores = scoresOf(SMALL, CIRCUIT);

describe("the circuit view", () => {
  it("is a region with a name, and has no two elements of the same id", () => {
    const view = openCircuit({ scores });
    expect(view.el.querySelector('[role="region"]')?.getAttribute("aria-label")).toBe("Circuit");
    openView(view.model);
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(0);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("names every node with what the circuit means for it", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    expect(view.nodes()).toEqual([
      "Resid Start, the embedding, 1 edge in the circuit",
      "A0.0, head 0 of block 0, 2 edges in the circuit",
      "A0.1, head 1 of block 0, 1 edge in the circuit, on no path from input to output",
      "MLP 0, MLP of block 0, not in the circuit",
      "A1.0, head 0 of block 1, not in the circuit",
      "A1.1, head 1 of block 1, 2 edges in the circuit",
      "MLP 1, MLP of block 1, 1 edge in the circuit, on no path from input to output",
      "Resid End, the logits, 1 edge in the circuit",
    ]);
  });

  it("shows the model before there are scores", () => {
    const view = openCircuit();
    expect(view.nodes()).toHaveLength(8);
    expect(view.text(".spc-empty")).toBe("No scores yet.");
    expect(view.control("Edges").disabled).toBe(true);
    view.model.set("scores", scores);
    settle();
    expect(view.text(".spc-empty")).toBe("");
    expect(view.control("Edges").disabled).toBe(false);
  });

  it("draws each edge of the circuit once, Q and K and V each in its own way", () => {
    openCircuit({ scores, n_edges: 4 });
    const front = strokes.filter(({ canvas, lines }) => canvas.includes("front") && lines > 0);
    expect(front.reduce((sum, { lines }) => sum + lines, 0)).toBe(4);
    expect(new Set(front.map(({ dash }) => dash.join(" "))).size).toBe(2);
  });

  it("counts the circuit in words", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    expect(view.text(".spc-words")).toContain(
      "4 edges of 46, 4 nodes on a path from input to output. 1 edge lies on no path.",
    );
  });

  it("shows the circuit in a view that is opened later", () => {
    const first = openCircuit({ scores });
    enter(first.control("Number of edges"), "2");
    const second = openView(first.model);
    expect(second.control("Number of edges").value).toBe("2");
    expect(second.control("Edges").getAttribute("aria-valuetext")).toBe("2 of 46 edges");
  });

  it("draws another model when there is another", () => {
    const view = openCircuit({ scores });
    view.model.set("graph", plainModel({ blocks: 1, heads: 3, mlp: false }));
    settle();
    expect(view.nodes()).toHaveLength(5);
  });

  it("leaves nothing behind when it is closed", () => {
    const view = openCircuit({ scores });
    const { listenerCount } = view.model;
    const second = openView(view.model);
    expect(observers.size).toBe(2);
    enter(second.control("Number of edges"), "9");
    second.close();
    expect(view.model.listenerCount).toBe(listenerCount);
    expect(second.el.childElementCount).toBe(0);
    expect(observers.size).toBe(1);
    // What was chosen in the last moment is kept.
    expect(view.model.save_changes).toHaveBeenCalledOnce();
    view.close();
    expect(view.model.listenerCount).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    view.model.set("n_edges", 3);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the number of edges", () => {
  it("follows the slider at once, and is saved when the slider rests", () => {
    const view = openCircuit({ scores });
    const slider = view.control("Edges");
    enter(slider, "500");
    const shown = view.model.get("n_edges");
    expect(shown).toBeGreaterThan(0);
    vi.advanceTimersByTime(20);
    expect(view.control("Number of edges").value).toBe(String(shown));
    expect(view.model.save_changes).not.toHaveBeenCalled();
    enter(slider, "600");
    settle();
    expect(view.model.save_changes).toHaveBeenCalledOnce();
  });

  it("changes by one with an arrow key", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    const slider = view.control("Edges");
    press(slider, "ArrowRight");
    expect(view.model.get("n_edges")).toBe(5);
    settle();
    press(slider, "ArrowLeft");
    settle();
    press(slider, "ArrowLeft");
    expect(view.model.get("n_edges")).toBe(3);
  });

  it("can be typed, and stays between none and all", () => {
    const view = openCircuit({ scores });
    const box = view.control("Number of edges");
    enter(box, "3");
    expect(view.model.get("n_edges")).toBe(3);
    enter(box, "");
    expect(view.model.get("n_edges")).toBe(3);
    enter(box, "1000");
    expect(view.model.get("n_edges")).toBe(46);
    enter(box, "-1");
    expect(view.model.get("n_edges")).toBe(0);
    box.focus();
    box.value = "-5";
    press(box, "Enter");
    settle();
    expect(box.value).toBe("0");
  });

  it("follows the training until a person chooses, and again when asked", () => {
    const view = openCircuit({ scores, training_edges: 7 });
    const box = view.control("Number of edges");
    const follow = view.control("Follow the training");
    expect(box.value).toBe("7");
    expect(follow.checked).toBe(true);
    view.model.set("training_edges", 6);
    settle();
    expect(box.value).toBe("6");

    enter(view.control("Edges"), "300");
    settle();
    const chosen = box.value;
    view.model.set("training_edges", 5);
    settle();
    expect(box.value).toBe(chosen);
    expect(follow.checked).toBe(false);

    follow.click();
    settle();
    expect(box.value).toBe("5");
    expect(view.model.get("n_edges")).toBeNull();
  });

  it("has nothing to follow without a training", () => {
    const view = openCircuit({ scores });
    expect(view.control("Follow the training").closest("label")?.hidden).toBe(true);
  });
});

describe("the switch for paths", () => {
  it("drops the nodes that carry nothing", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    view.control("Only edges on a path").click();
    settle();
    expect(view.model.get("only_paths")).toBe(true);
    expect(view.nodes().map((name) => name.split(",")[0])).toEqual([
      "Resid Start",
      "A0.0",
      "A1.1",
      "Resid End",
    ]);
  });

  it("says so where nothing is left", () => {
    const view = openCircuit({ scores, n_edges: 1, only_paths: true });
    expect(view.text(".spc-empty")).toContain("No edge of this circuit lies on a path");
  });

  it("keeps a pinned node", () => {
    const view = openCircuit({ scores, n_edges: 4, only_paths: true, pinned: "A1.0" });
    expect(view.node("A1.0").getAttribute("aria-pressed")).toBe("true");
  });

  it("draws of a pinned node only what lies on a path: other nodes have no place", () => {
    const highlighted = (only_paths: boolean): number => {
      strokes.length = 0;
      const view = openCircuit({ scores, n_edges: 4, only_paths, pinned: "A0.1" });
      expect(view.text(".spc-lists")).toContain("MLP 1");
      view.close();
      return strokes
        .filter(({ canvas }) => canvas.includes("spc-over"))
        .reduce((sum, { lines }) => sum + lines, 0);
    };
    expect(highlighted(false)).toBeGreaterThan(0);
    expect(highlighted(true)).toBe(0);
  });
});

describe("a node", () => {
  it("is pinned by a click and released by another", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    view.node("A1.1").click();
    settle();
    expect(view.model.get("pinned")).toBe("A1.1");
    expect(view.node("A1.1").getAttribute("aria-pressed")).toBe("true");
    view.node("A1.1").click();
    settle();
    expect(view.model.get("pinned")).toBe("");
    expect(view.node("A1.1").getAttribute("aria-pressed")).toBe("false");
  });

  it("shows its edges and their scores under the pointer, and pinned ones otherwise", () => {
    const view = openCircuit({ scores, n_edges: 4, pinned: "A0.1" });
    const nodes = view.el.querySelector(".spc-nodes");
    view.node("A1.1").dispatchEvent(new Event("pointerover", { bubbles: true }));
    settle();
    expect(view.text(".spc-details-title")).toBe("A1.1");
    expect(view.text(".spc-lists")).toBe("Q reads (1)A0.03.00Is read by (1)Resid End2.00");
    nodes?.dispatchEvent(new Event("pointerleave"));
    settle();
    expect(view.text(".spc-details-title")).toBe("A0.1");
    expect(view.text(".spc-lists")).toBe("Is read by (1)MLP 1 no path1.00");
  });

  it("shows its edges when it has the keyboard's focus", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    view.node("A0.0").focus();
    settle();
    expect(view.text(".spc-details-title")).toBe("A0.0");
    view.node("A0.0").blur();
    settle();
    expect(view.text(".spc-details-title")).toBe("The circuit");
  });

  it("leads to its neighbours by the names in the list", () => {
    const view = openCircuit({ scores, n_edges: 4, pinned: "A1.1" });
    [...view.el.querySelectorAll<HTMLButtonElement>(".spc-link")]
      .find(({ textContent }) => textContent === "A0.0")
      ?.click();
    settle();
    expect(view.model.get("pinned")).toBe("A0.0");
  });

  it("is one stop of the Tab key for all; arrow keys move between them", () => {
    const view = openCircuit({ scores });
    const stops = (): (string | null)[] =>
      [...view.el.querySelectorAll('.spc-node[tabindex="0"]')].map((node) => node.textContent);
    expect(stops()).toHaveLength(1);
    view.node("A0.0").focus();
    press(view.node("A0.0"), "ArrowRight");
    expect(document.activeElement).toBe(view.node("A0.1"));
    press(view.node("A0.1"), "ArrowUp");
    expect(document.activeElement).toBe(view.node("A1.1"));
    expect(stops()).toEqual(["A1.1"]);
  });

  it("is released by Escape", () => {
    const view = openCircuit({ scores, pinned: "A1.1" });
    view.node("A1.1").focus();
    press(view.node("A1.1"), "Escape");
    expect(view.model.get("pinned")).toBe("");
  });
});

describe("the search box", () => {
  it("marks what it finds and pins it with Enter, one after the other", () => {
    const view = openCircuit({ scores });
    enter(view.control("Find"), "a1");
    settle();
    const marked = [...view.el.querySelectorAll("[data-found]")].map((node) => node.textContent);
    expect(marked).toEqual(["A1.0", "A1.1"]);
    expect(view.text(".spc-found")).toBe("2 nodes, Enter pins");
    for (const name of ["A1.0", "A1.1", "A1.0"]) {
      press(view.control("Find"), "Enter");
      settle();
      expect(view.model.get("pinned")).toBe(name);
    }
  });

  it("shows the one node, or the port of it, that it finds", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    enter(view.control("Find"), "A1.1.Q");
    settle();
    expect(view.text(".spc-details-title")).toBe("A1.1.Q");
    expect(view.text(".spc-lists")).toBe("Q reads (1)A0.03.00");
    press(view.control("Find"), "Enter");
    expect(view.model.get("pinned")).toBe("A1.1.Q");
  });

  it("says that there is no such node", () => {
    const view = openCircuit({ scores });
    enter(view.control("Find"), "A7.1");
    settle();
    expect(view.text(".spc-found")).toBe("no such node");
    press(view.control("Find"), "Enter");
    expect(view.model.get("pinned")).toBe("");
    press(view.control("Find"), "Escape");
    settle();
    expect(view.control("Find").value).toBe("");
  });
});

describe("with the frequencies of edges", () => {
  const plain = readGraph(SMALL);
  const shares = new Float32Array(plain.nEdges);
  shares[edgeNamed(plain, "A1.1->Resid End")] = 1;
  shares[edgeNamed(plain, "Resid Start->A0.0.V")] = 0.25;
  const frequencies = new DataView(shares.buffer);
  const widths = (): number[] =>
    strokes
      .filter(({ canvas, lines }) => canvas.includes("front") && lines > 0)
      .map((s) => s.width);

  it("colours edges by them, says so in the legend, and draws the same circuit", () => {
    const view = openCircuit({ scores, n_edges: 3 });
    const thickest = Math.max(...widths());
    expect(view.text(".spc-legend")).toContain("Score2.004.00");
    const before = view.nodes();
    strokes.length = 0;
    view.model.set("frequencies", frequencies);
    settle();
    expect(view.text(".spc-legend")).toContain("In how many runsnoneall");
    expect(view.nodes()).toEqual(before);
    // The edge of the highest score is in a quarter of the runs, and drawn before that in all.
    expect(widths().at(-1)).toBeLessThan(thickest);
    expect(Math.max(...widths())).toBe(thickest);
    view.model.set("frequencies", null);
    settle();
    expect(view.text(".spc-legend")).toContain("Score2.004.00");
  });

  it("lists them in the table", () => {
    const view = openCircuit({ scores, n_edges: 2, frequencies });
    const details = view.el.querySelector("details");
    if (details) details.open = true;
    details?.dispatchEvent(new Event("toggle"));
    settle();
    const first = view.el.querySelector(".spc-edges tbody tr");
    const cells = [...(first?.children ?? [])].map((cell) => cell.textContent);
    expect(cells).toContain("25%");
    expect(view.text(".spc-edges thead")).toContain("ScoreRunsPath");
  });
});

describe("beside a known circuit", () => {
  const plain = readGraph(SMALL);
  const official = ["A1.1->Resid End", "MLP 0->Resid End"].map((name) => edgeNamed(plain, name));
  const graph = { ...SMALL, official };
  const known = { graph, scores, n_edges: 4, compare: KNOWN, comparable: [KNOWN] };

  it("hits, misses and extras have their own dashes, and are counted", () => {
    const view = openCircuit({ ...known, auroc: 0.98765 });
    const front = strokes.filter(({ canvas, lines }) => canvas.includes("front") && lines > 0);
    expect(new Set(front.map(({ dash }) => dash.join(" "))).size).toBe(3);
    const legend = view.text(".spc-legend");
    expect(legend).toContain("known and in the circuit1");
    expect(legend).toContain("known, not in the circuit1");
    expect(legend).toContain("in the circuit, not known3");
    expect(legend).toContain("AUROC0.988");
  });

  it("begins with as many edges as are known", () => {
    const view = openCircuit({ graph, scores });
    expect(view.control("Number of edges").value).toBe("2");
  });

  it("lists misses among the edges of a node", () => {
    const view = openCircuit({ ...known, pinned: "Resid End" });
    expect(view.text(".spc-lists")).toBe("Reads (2)A1.1hit2.00MLP 0miss0");
  });

  it("keeps the nodes of misses when others are dropped", () => {
    const view = openCircuit({ ...known, only_paths: true });
    expect(view.node("MLP 0").dataset.state).toBe("missed");
  });

  it("can be switched off", () => {
    const view = openCircuit(known);
    choose(view, "");
    expect(view.model.get("compare")).toBe("");
    expect(key(view, "Hits")?.hidden).toBe(true);
  });

  it("has no choice where there is nothing to compare with", () => {
    const view = openCircuit({ scores });
    expect(view.control("Compare with").closest<HTMLElement>(".spc-switch")?.hidden).toBe(true);
  });
});

describe("beside another circuit", () => {
  const plain = readGraph(SMALL);
  const other = new Float32Array(plain.nEdges);
  for (const name of ["A1.1->Resid End", "MLP 0->Resid End"]) other[edgeNamed(plain, name)] = 1;
  const traits = {
    scores,
    n_edges: 4,
    compare: "seed 2",
    comparable: ["seed 2", "Run 1"],
    other: new DataView(other.buffer),
  };

  it("shows what both have and what one of them has, by dashes and by counts", () => {
    const view = openCircuit({ ...traits, other_size: 2 });
    const front = strokes.filter(({ canvas, lines }) => canvas.includes("front") && lines > 0);
    expect(new Set(front.map(({ dash }) => dash.join(" "))).size).toBe(3);
    expect(key(view, "Hits")?.textContent).toBe("Hits: in both1");
    expect(key(view, "Misses")?.textContent).toBe("Misses: only in seed 21");
    expect(key(view, "Extras")?.textContent).toBe("Extras: only here3");
    expect(view.text(".spc-words")).toContain("1 of the 2 edges of the other circuit are in it.");
  });

  it("cuts a circuit of the same size from scores, and follows the slider", () => {
    const same = openCircuit({ ...traits, other: scores });
    expect(key(same, "Hits")?.textContent).toBe("Hits: in both4");
    enter(same.control("Number of edges"), "2");
    settle();
    expect(key(same, "Hits")?.textContent).toBe("Hits: in both2");
  });

  it("asks the kernel for another one, at once", () => {
    const view = openCircuit({ ...traits, other_size: 2 });
    choose(view, "Run 1");
    expect(view.model.get("compare")).toBe("Run 1");
    expect(view.model.save_changes).toHaveBeenCalled();
    view.el.classList.add("jupyter-widgets-disconnected");
    view.model.set("n_edges", 3);
    settle();
    const barred = [...view.el.querySelectorAll("option")].filter(({ disabled }) => disabled);
    expect(barred.map(({ value }) => value)).toEqual(["seed 2"]);
  });
});

describe("the table", () => {
  const open = (view: ReturnType<typeof openCircuit>): void => {
    const details = view.el.querySelector("details");
    if (details) details.open = true;
    details?.dispatchEvent(new Event("toggle"));
    settle();
  };
  const cells = (view: ReturnType<typeof openCircuit>): string[][] =>
    [...view.el.querySelectorAll("tbody tr")].map((row) =>
      [...row.querySelectorAll("td")].map((cell) => cell.textContent),
    );

  it("lists the edges of the circuit by importance", () => {
    const view = openCircuit({ scores, n_edges: 4 });
    expect(view.text("summary")).toBe("4 edges as text");
    expect(cells(view)).toEqual([]);
    open(view);
    expect(cells(view)).toEqual([
      ["Resid Start", "A0.0.V", "4.00", "on a path"],
      ["A0.0", "A1.1.Q", "3.00", "on a path"],
      ["A1.1", "Resid End", "2.00", "on a path"],
      ["A0.1", "MLP 1", "1.00", "–"],
    ]);
  });

  it("says what it leaves out", () => {
    const graph = plainModel({ blocks: 3, heads: 4 });
    const view = openCircuit({ graph, scores: scoresOf(graph, []), n_edges: 120 });
    open(view);
    expect(cells(view)).toHaveLength(100);
    expect(view.text("caption")).toBe("The 100 most important of 120 edges in the circuit");
  });

  it("lists misses of their own", () => {
    const plain = readGraph(SMALL);
    const graph = { ...SMALL, official: [edgeNamed(plain, "MLP 0->Resid End")] };
    const view = openCircuit({ graph, scores, n_edges: 1, compare: KNOWN, comparable: [KNOWN] });
    open(view);
    expect(cells(view)).toEqual([
      ["Resid Start", "A0.0.V", "4.00", "–", "extra"],
      ["MLP 0", "Resid End", "0", "–", "miss"],
    ]);
  });
});

describe("token positions", () => {
  const positions = ["When", "Mary", "gave"];
  const graph = plainModel({ blocks: 1, heads: 1, mlp: false, positions });
  const names = ["0:Resid Start->A0.0.V", "2:A0.0->Resid End"];

  it("have a column each, with their labels", () => {
    const view = openCircuit({ graph, scores: scoresOf(graph, names), n_edges: 2 });
    const labels = [...view.el.querySelectorAll(".spc-column-label")];
    expect(labels.map((label) => label.textContent)).toEqual(positions);
    expect(view.nodes()).toContain(
      "A0.0, head 0 of block 0, at position 2, “gave”, 1 edge in the circuit",
    );
    expect(view.text(".spc-legend")).toContain("Attention between tokens");
  });

  it("are part of a pin's name", () => {
    const view = openCircuit({ graph, scores: scoresOf(graph, names), n_edges: 2 });
    view.el.querySelectorAll<HTMLButtonElement>(".spc-head")[2]?.click();
    expect(view.model.get("pinned")).toBe("2:A0.0");
    settle();
    expect(view.text(".spc-words")).toBe("head 0 of block 0, position 2, “gave”");
  });
});

describe("a large model", () => {
  const graph = plainModel({ blocks: 12, heads: 12 });

  it("draws the strong edges one by one and the weak ones as a density", () => {
    const view = openCircuit({ graph, scores: scoresOf(graph, []), n_edges: 32_491 });
    expect(view.control("Edges").getAttribute("aria-valuetext")).toBe("32,491 of 32,491 edges");
    const front = strokes.filter(({ canvas }) => canvas.includes("front"));
    expect(front.reduce((sum, { lines }) => sum + lines, 0)).toBeLessThan(1000);
  });

  it("leaves the strong edges alone while the slider moves among the weak ones", () => {
    const view = openCircuit({ graph, scores: scoresOf(graph, []), n_edges: 32_491 });
    strokes.length = 0;
    enter(view.control("Number of edges"), "32490");
    settle();
    expect(strokes).toEqual([]);
  });

  it("shortens the names of nodes where there is no room", () => {
    setPageWidth(390);
    const view = openCircuit({ graph });
    expect(view.node("A11.10").textContent).toBe("10");
    setPageWidth(1600);
    expect(openView(view.model).node("A11.10").textContent).toBe("A11.10");
  });
});

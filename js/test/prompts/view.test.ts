import type { RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import prompts from "../../src/prompts/index";
import type { NodeData, PromptsTraits, StripData } from "../../src/prompts/model";
import { attention, queryToken, readPattern } from "../../src/prompts/pattern";
import { visibleText, visibleToken } from "../../src/prompts/visible";
import { FakeModel } from "../fake-model";

const STRIP: StripData = {
  tokens: [
    { clean: "When", corrupt: "When", differs: false },
    { clean: " Mary", corrupt: " Tom", differs: true },
    { clean: "\n", corrupt: "\n", differs: false },
  ],
  whole_model: [
    { text: " John", probability: 0.9, is_answer: true },
    { text: "<b>", probability: 0.0004, is_answer: false },
  ],
  circuit: [{ text: " Mary", probability: 0.5, is_answer: false }],
  corrupt_run: [{ text: " Tom", probability: 0.4, is_answer: false }],
  kl_div: 0.25,
  n_edges: 12,
  n_switched: 0,
};

const RUN = {
  tokens: ["a", "b"],
  up: [{ text: " John", logit: 2.5 }],
  down: [{ text: " Tom", logit: -1.25 }],
};
const NODE: NodeData = {
  name: "A1.2",
  kind: "head",
  n_edges: 12,
  n_switched: 0,
  n_left_out: 0,
  whole_model: RUN,
  circuit: RUN,
  edges_in: [{ name: "Resid Start->A1.2.Q", score: 0.5, rank: 3 }],
  edges_out: [],
  n_in: 70,
  n_out: 0,
  note: "",
};

const bytes = (...values: number[]): DataView => new DataView(new Float32Array(values).buffer);

beforeEach(() => {
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe = vi.fn();
      disconnect = vi.fn();
    },
  );
  vi.stubGlobal("matchMedia", () => ({ addEventListener: vi.fn() }));
});

afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

function open(traits: Partial<PromptsTraits> = {}): {
  model: FakeModel<PromptsTraits>;
  el: HTMLElement;
  close: () => void;
} {
  const model = new FakeModel<PromptsTraits>({
    prompts: [
      { place: 4, loss: 0.8, text: "When Mary\nand", answers: [" John"] },
      { place: 0, loss: 0.1, text: "Then", answers: [] },
    ],
    loss: "KL(model ‖ circuit), nats",
    list_note: "All 2 prompts.",
    in_common: ["7 of the 10 worst have ' Tom' as answer, 9 of all 99 do."],
    chosen: 0,
    typed: ["", ""],
    typed_problem: "",
    typed_field: "",
    strip: STRIP,
    nodes: ["A1.1", "A1.2"],
    node: "A1.2",
    node_data: NODE,
    whole_pattern: bytes(1, 0, 0.25, 0.75),
    circuit_pattern: bytes(1, 0, 0.5, 0.5),
    note: "",
    ...traits,
  });
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  const props = { model, el, signal: controller.signal, experimental: {} };
  prompts.render(props as unknown as RenderProps<PromptsTraits>);
  return {
    model,
    el,
    close: () => {
      controller.abort();
    },
  };
}

const texts = (el: ParentNode, selector: string): (string | null)[] =>
  [...el.querySelectorAll(selector)].map((each) => each.textContent);

describe("the text of tokens", () => {
  it("shows what has no ink", () => {
    expect(visibleToken(" Mary")).toBe("·Mary");
    expect(visibleToken("")).toBe("∅");
    expect(visibleToken("\n\t")).toBe("⏎⇥");
    expect(visibleText("a\u202eb c\u200b")).toBe("a⟨202E⟩b c⟨200B⟩");
  });
});

describe("a pattern", () => {
  it("has its queries behind the keys of a shared prefix", () => {
    const pattern = readPattern(bytes(0.5, 0.5, 0, 0.25, 0.25, 0.5), ["x", "a", "b"]);
    expect(pattern?.queries).toBe(2);
    if (!pattern) return;
    expect(attention(pattern, 1, 2)).toBe(0.5);
    expect([queryToken(pattern, 0), queryToken(pattern, 1)]).toEqual(["a", "b"]);
    expect(readPattern(new DataView(new ArrayBuffer(0)), ["a"])).toBeNull();
  });
});

describe("the view of single prompts", () => {
  it("lists the prompts as they come, and chooses one", () => {
    const { el, model } = open();
    const list = el.querySelector<HTMLSelectElement>(".spp-list");
    expect(texts(el, ".spp-list option")).toEqual(["0.800  When Mary⏎and → John", "0.100  Then"]);
    expect(list?.value).toBe("0");
    expect(texts(el, ".spp-common li")[0]).toContain("' Tom' as answer");
    if (list) list.value = "4";
    list?.dispatchEvent(new Event("change"));
    expect(model.get("chosen")).toBe(4);
    expect(model.save_changes).toHaveBeenCalledOnce();
  });

  it("shows where the prompts differ, and tokens as text", () => {
    const { el } = open();
    expect(texts(el, ".spp-token")).toEqual(["When", "clean ·Mary, corrupt ·Tom", "⏎"]);
    expect(texts(el, ".spp-run caption")).toEqual([
      "Whole model",
      "Circuit of 12 edges",
      "Corrupt run",
    ]);
    expect(texts(el, ".spp-run tbody tr")).toEqual([
      "·John ✓ (answer)90.0%",
      "<b><0.1%",
      "·Mary50.0%",
      "·Tom40.0%",
    ]);
    expect(el.querySelector(".spp-run b")).toBeNull();
  });

  it("says when the circuit is edited, of what comes next and of a node", () => {
    const { el, model } = open();
    model.set("strip", { ...STRIP, n_edges: 1230, n_switched: 2 });
    model.set("node_data", { ...NODE, n_edges: 1, n_switched: 1 });
    expect(texts(el, ".spp-run caption")[1]).toBe("Circuit of 1,230 edges, 2 switched by hand");
    expect(texts(el, ".spp-writes caption")[1]).toContain("circuit of 1 edge, 1 switched by hand");
  });

  it("sends a pair that was typed, and shows why one is refused", () => {
    const { el, model } = open();
    const [clean, corrupt] = el.querySelectorAll<HTMLInputElement>(".spp-input");
    if (clean) clean.value = "one";
    if (corrupt) corrupt.value = "two";
    corrupt?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
    expect(model.send).toHaveBeenCalledWith({ type: "typed", clean: "one", corrupt: "two" });
    model.set("typed_field", "corrupt");
    model.set("typed_problem", "Corrupt prompt: wanted 3 tokens.");
    expect(el.querySelector("[role=alert]")?.textContent).toContain("wanted 3 tokens");
    expect(corrupt?.getAttribute("aria-invalid")).toBe("true");
    expect(clean?.hasAttribute("aria-invalid")).toBe(false);
  });

  it("has the attention of one query in a table, and what is written", () => {
    const { el, model } = open();
    expect(texts(el, ".spp-query tbody tr")).toEqual(["b0.7500.500", "a0.2500.500"]);
    const query = el.querySelector<HTMLSelectElement>(".spp-query select");
    expect(query?.value).toBe("1");
    if (query) query.value = "0";
    query?.dispatchEvent(new Event("change"));
    expect(texts(el, ".spp-query tbody tr")[0]).toBe("a1.0001.000");
    expect(texts(el, ".spp-writes tr").slice(0, 2)).toEqual(["Up·John +2.50 ", "Down·Tom −1.25 "]);
    expect(texts(el, ".spp-edges caption")).toEqual([
      "Edges into it: the first 1 of 70",
      "Edges out of it: 0",
    ]);
    const names = el.querySelector<HTMLSelectElement>("[id$=-node]");
    if (names) names.value = "A1.1";
    names?.dispatchEvent(new Event("change"));
    expect(model.get("node")).toBe("A1.1");
  });

  it("leaves out the patterns of what is no head, and everything where nothing is known", () => {
    const empty = new DataView(new ArrayBuffer(0));
    const { el, model } = open({ whole_pattern: empty, circuit_pattern: empty });
    expect(el.querySelector<HTMLElement>(".spp-patterns")?.hidden).toBe(true);
    model.set("strip", null);
    model.set("node_data", null);
    expect(el.querySelector<HTMLElement>(".spp-strip")?.hidden).toBe(true);
    expect(el.querySelector<HTMLElement>(".spp-node")?.hidden).toBe(true);
  });

  it("leaves nothing behind", () => {
    const { el, model, close } = open();
    close();
    expect(el.childElementCount).toBe(0);
    expect(model.listenerCount).toBe(0);
  });
});

import { afterEach, describe, expect, it } from "vitest";

import type { CircuitTraits } from "../../src/circuit/model";
import type { RecordedCircuit, RecordedPrompts } from "../../src/generated/page";
import { nearest, showPrompts } from "../../src/page/prompts";
import { FakeModel } from "../fake-model";

const HOSTILE = "<img src=x onerror=alert(1)>";

const circuitOf = (n_edges: number, n_switched = 0): RecordedCircuit => ({
  n_edges,
  n_switched,
  predictions: [{ text: ` of ${String(n_edges)}`, probability: 0.5, is_answer: false }],
  kl_div: 0.25,
});

const promptOf = (place: number, text: string, n_left_out = 0): RecordedPrompts["prompts"][0] => ({
  place,
  loss: 1 / (place + 1),
  text,
  answers: [],
  tokens: [{ clean: text, corrupt: " Tom", differs: true }],
  n_left_out,
  whole_model: [{ text: HOSTILE, probability: 0.9, is_answer: true }],
  corrupt_run: [],
  circuits: [0, 10, 1000].map((size) => circuitOf(size)),
  edited: circuitOf(8, 2),
});

const RECORDED: RecordedPrompts = {
  prompts: [promptOf(4, "Mary"), promptOf(0, HOSTILE, 2)],
  loss: "KL(model ‖ circuit), nats",
  list_note: "The 2 worst of 9 prompts.",
  in_common: [HOSTILE],
  n_edges: 10,
  switches: ["-A1.0"],
  note: "",
};

const texts = (el: ParentNode, selector: string): (string | null)[] =>
  [...el.querySelectorAll(selector)].map((each) => each.textContent);

function open(
  recorded: RecordedPrompts,
  n_edges: number | null = 10,
): {
  circuit: FakeModel<CircuitTraits>;
  el: HTMLElement;
  close: () => void;
} {
  const traits: Partial<CircuitTraits> = { n_edges, switches: [] };
  const circuit = new FakeModel(traits as CircuitTraits);
  const el = document.createElement("div");
  document.body.append(el);
  const controller = new AbortController();
  showPrompts(recorded, circuit, el, controller.signal);
  return {
    circuit,
    el,
    close: () => {
      controller.abort();
    },
  };
}

afterEach(() => {
  document.body.replaceChildren();
});

describe("the recorded prompts of a page", () => {
  it("follow the slider to the nearest size, and say which one that is", () => {
    const { circuit, el, close } = open(RECORDED);
    const caption = (): string | null | undefined => texts(el, ".spp-run caption")[1];
    expect(caption()).toBe("Circuit of 10 edges");
    expect(texts(el, ".spp-note")).toEqual([
      "Recorded with 10 edges, as many as in the circuit view.",
    ]);
    circuit.set("n_edges", 200);
    expect(caption()).toBe("Circuit of 1,000 edges");
    expect(texts(el, ".spp-run")[1]).toContain("·of·1000");
    expect(texts(el, ".spp-note")[0]).toContain("1,000 edges, the size nearest to the slider");
    circuit.set("switches", ["-A0.1"]);
    expect(texts(el, ".spp-note")[0]).toContain("Nothing that is switched by hand");
    close();
    circuit.set("n_edges", 0);
    expect(caption()).toBe("Circuit of 1,000 edges");
    expect(circuit.listenerCount).toBe(0);
  });

  it("have the edited circuit of the picture, until anything else is switched", () => {
    const { circuit, el } = open(RECORDED);
    const caption = (): string | null | undefined => texts(el, ".spp-run caption")[1];
    circuit.set("switches", ["-A1.0"]);
    expect(caption()).toBe("Circuit of 8 edges, 2 switched by hand");
    expect(texts(el, ".spp-note")).toEqual([
      "Recorded with 8 edges, 2 switched by hand, as many as in the circuit view.",
    ]);
    circuit.set("switches", ["-A1.0", "-A1.1"]);
    expect(caption()).toBe("Circuit of 10 edges");
    expect(texts(el, ".spp-note")[0]).toContain("Nothing that is switched by hand");
    circuit.set("switches", ["-A1.0"]);
    circuit.set("n_edges", 1000);
    expect(caption()).toBe("Circuit of 1,000 edges");
  });

  it("are chosen from a list, and are text whatever is in them", () => {
    const { el } = open(RECORDED);
    const list = el.querySelector("select");
    expect(texts(el, "option")).toEqual(["0.200  Mary", `1.00  ${HOSTILE}`]);
    expect(list?.value).toBe("4");
    if (list) list.value = "0";
    list?.dispatchEvent(new Event("change"));
    expect(texts(el, ".spp-clean")).toEqual([HOSTILE.replaceAll(" ", "·")]);
    expect(texts(el, ".spp-note")[0]).toContain("The first 2 tokens are left out.");
    expect(el.querySelector("img")).toBeNull();
  });

  it("say why there are none", () => {
    const note = "Nothing is recorded of single prompts.";
    const { el } = open({ ...RECORDED, prompts: [], note });
    expect(el.textContent).toBe(`Prompts${note}`);
  });

  it("are as near as the slider shows them, which is logarithmic", () => {
    const circuits = [1, 10, 1000].map((size) => circuitOf(size));
    expect([0, 3, 4, 90, 120, 5000].map((size) => nearest(circuits, size)?.n_edges)).toEqual([
      1, 1, 10, 10, 1000, 1000,
    ]);
    expect(nearest([], 3)).toBeNull();
  });
});

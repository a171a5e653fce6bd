import { counted, formatScore } from "../circuit/format";
import { h, setText } from "../shared/dom";
import { watchTheme } from "../shared/theme";
import type { EdgeData, NodeData, NodeRunData, PromptsTraits, WrittenData } from "./model";
import { attention, createPattern, queryToken, readPattern, type Pattern } from "./pattern";
import { edgesOf } from "./strip";
import { visibleToken } from "./visible";

/** Keys of the table that stands beside the patterns, at most. */
const KEYS = 8;
/** Shares that would be written as 0.000 are left out. */
const LEAST = 0.0005;

type Traits = Pick<PromptsTraits, "node_data" | "whole_pattern" | "circuit_pattern">;

export interface NodeView {
  element: HTMLElement;
  showNames(nodes: readonly string[], chosen: string): void;
  show(traits: Traits): void;
}

/** One head or MLP: its attention, what it writes towards, and its edges. */
export function createNode(
  prefix: string,
  choose: (node: string) => void,
  signal: AbortSignal,
): NodeView {
  const names = h("select", {
    id: `${prefix}-node`,
    class: "spp-select",
    "data-lm-suppress-shortcuts": "true",
  });
  names.addEventListener("change", () => {
    choose(names.value);
  });
  const queries = h("select", {
    id: `${prefix}-query`,
    class: "spp-select",
    "data-lm-suppress-shortcuts": "true",
  });
  queries.addEventListener("change", () => {
    chooseQuery(Number(queries.value));
  });
  const readout = h("p", { class: "spp-readout", "aria-hidden": "true" });
  const note = h("p", { class: "spp-muted" });
  const keys = h("tbody");
  const written = { whole: h("div"), circuit: h("div") };
  const edges = { into: scroller("Edges into it"), out: scroller("Edges out of it") };
  let whole: Pattern | null = null;
  let circuit: Pattern | null = null;
  let data: NodeData | null = null;
  /** Counted from the last query: that is the one to look at in most prompts. */
  let fromEnd = 0;

  const point = (query: number | null, key: number): void => {
    setText(readout, query === null ? "" : sentence(query, key));
  };
  const sentence = (query: number, key: number): string => {
    if (!whole || !circuit) return "";
    const shares = [whole, circuit].map((each) => attention(each, query, key).toFixed(3));
    return (
      `${visibleToken(queryToken(whole, query))} to ${visibleToken(whole.tokens[key] ?? "")}: ` +
      `whole model ${shares[0] ?? ""}, circuit ${shares[1] ?? ""}`
    );
  };
  const chooseQuery = (query: number): void => {
    fromEnd = (whole?.queries ?? 1) - 1 - query;
    drawPatterns();
  };
  const pictures = {
    whole: createPattern("Whole model", point, chooseQuery, signal),
    circuit: createPattern("Circuit", point, chooseQuery, signal),
  };
  watchTheme(() => {
    pictures.whole.redraw();
    pictures.circuit.redraw();
  }, signal);
  const table = h(
    "table",
    { class: "spp-table" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ...["To", "Whole model", "Circuit"].map((head) => h("th", { scope: "col" }, head)),
      ),
    ),
    keys,
  );
  const patterns = h(
    "div",
    { class: "spp-patterns" },
    pictures.whole.element,
    pictures.circuit.element,
    h(
      "div",
      { class: "spp-query" },
      h("label", { class: "spp-label", for: `${prefix}-query` }, "Attention from"),
      queries,
      table,
    ),
  );
  const body = h(
    "div",
    { class: "spp-node" },
    note,
    patterns,
    readout,
    h("div", { class: "spp-writes" }, written.whole, written.circuit),
    h("div", { class: "spp-edges" }, edges.into, edges.out),
  );

  const drawPatterns = (): void => {
    patterns.hidden = readout.hidden = !whole || !circuit;
    if (!whole || !circuit || !data) return;
    const query = Math.max(0, whole.queries - 1 - fromEnd);
    pictures.whole.show(whole, data.name, query);
    pictures.circuit.show(circuit, data.name, query);
    const drawn = whole;
    const options = Array.from({ length: drawn.queries }, (_, index) =>
      h(
        "option",
        { value: String(index) },
        `${index + 1} ${visibleToken(queryToken(drawn, index))}`,
      ),
    );
    queries.replaceChildren(...options);
    queries.value = String(query);
    keys.replaceChildren(...rowsOf(whole, circuit, query));
  };

  return {
    element: h(
      "div",
      { class: "spp-look" },
      h(
        "div",
        { class: "spp-header" },
        h("label", { class: "spp-title", for: `${prefix}-node` }, "Look into"),
        names,
      ),
      body,
    ),
    showNames(nodes, chosen) {
      if (names.childElementCount !== nodes.length) {
        names.replaceChildren(...nodes.map((name) => h("option", { value: name }, name)));
      }
      names.value = chosen;
    },
    show({ node_data, whole_pattern, circuit_pattern }) {
      data = node_data;
      body.hidden = data === null;
      if (!data) return;
      whole = readPattern(whole_pattern, data.whole_model.tokens);
      circuit = readPattern(circuit_pattern, data.circuit.tokens);
      setText(note, notesOn(data));
      note.hidden = note.textContent === "";
      drawPatterns();
      const circuitName = `circuit of ${edgesOf(data)}`;
      written.whole.replaceChildren(writtenBy("whole model", data.whole_model));
      written.circuit.replaceChildren(writtenBy(circuitName, data.circuit));
      edges.into.replaceChildren(tableOf("Edges into it", data.edges_in, data.n_in));
      edges.out.replaceChildren(tableOf("Edges out of it", data.edges_out, data.n_out));
    },
  };
}

function notesOn(data: NodeData): string {
  const left = data.n_left_out;
  const long = left ? `The patterns leave out the first ${counted(left, "token")}.` : "";
  return [data.note, long].filter(Boolean).join(" ");
}

function rowsOf(whole: Pattern, circuit: Pattern, query: number): HTMLElement[] {
  const rows = whole.tokens.map((token, key) => ({
    token,
    shares: [attention(whole, query, key), attention(circuit, query, key)],
  }));
  const most = (shares: readonly number[]): number => Math.max(...shares);
  rows.sort((one, other) => most(other.shares) - most(one.shares));
  return rows
    .slice(0, KEYS)
    .filter(({ shares }) => most(shares) >= LEAST)
    .map(({ token, shares }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, visibleToken(token)),
        ...shares.map((share) => h("td", {}, share.toFixed(3))),
      ),
    );
}

/** A box whose content may be wider or higher than it; it stays, so that the keyboard stays in it. */
function scroller(label: string): HTMLElement {
  return h("div", {
    class: "spp-scroller",
    tabindex: "0",
    role: "group",
    "aria-label": label,
    "data-lm-suppress-shortcuts": "true",
  });
}

function writtenBy(run: string, { up, down }: NodeRunData): HTMLElement {
  const line = (name: string, tokens: readonly WrittenData[]): HTMLElement =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h(
        "td",
        { class: "spp-tokens-written" },
        ...tokens.map(({ text, logit }) =>
          h(
            "span",
            { class: "spp-token-written" },
            h("span", { class: "spp-written" }, visibleToken(text)),
            ` ${logit < 0 ? "−" : "+"}${Math.abs(logit).toFixed(2)} `,
          ),
        ),
      ),
    );
  return h(
    "table",
    { class: "spp-table" },
    h("caption", {}, `Writes towards, ${run}`),
    h("tbody", {}, line("Up", up), line("Down", down)),
  );
}

function tableOf(title: string, edges: readonly EdgeData[], n: number): HTMLElement {
  const heading =
    n > edges.length ? `${title}: the first ${edges.length} of ${n}` : `${title}: ${n}`;
  const caption = h("caption", {}, heading);
  if (edges.length === 0) return h("table", { class: "spp-table" }, caption);
  return h(
    "table",
    { class: "spp-table" },
    caption,
    h(
      "thead",
      {},
      h("tr", {}, ...["Edge", "Score", "Rank"].map((head) => h("th", { scope: "col" }, head))),
    ),
    h(
      "tbody",
      {},
      ...edges.map(({ name, score, rank }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", {}, formatScore(score)),
          h("td", {}, String(rank)),
        ),
      ),
    ),
  );
}

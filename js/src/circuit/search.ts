import { boxAt, positionOf, type Graph } from "./graph";
import type { BoxData, Port } from "./model";

/** What a search found: spots, and the port that was asked for. */
export interface Found {
  spots: number[];
  port: Port;
}

/** A node, or one port of it, whose edges are in view. */
export interface Target {
  spot: number;
  port: Port;
}

/**
 * The nodes that a query names: `A9.6`, `9.6`, `A9.6.Q`, `A9` (all heads of the block), `MLP 3`,
 * `m3`, `Resid End`, `logits`, and `3:A9.6` or `store:A9.6` at a token position. Letters may be
 * small, spaces left out.
 */
export function searchNodes(graph: Graph, query: string): Found {
  const { text, at } = splitPosition(graph, query);
  if (!text && !at) return { spots: [], port: "" };
  const [, name = "", letter = ""] = /^(.*?)(?:\.([qkv]))?$/.exec(text) ?? [];
  const port = letter.toUpperCase() as Port;
  const all = Array.from({ length: graph.nSpots }, (_, spot) => spot).filter(
    (spot) => !at || at.includes(positionOf(graph, spot)),
  );
  if (!text) return { spots: all, port: "" };
  const withPort = all.filter((spot) => !port || hasPort(graph, spot, port));
  // A name itself before what else a node may be called, and that before beginnings of names.
  const tests: ((box: BoxData) => boolean)[] = [
    (box) => compact(box.name) === name,
    (box) => names(box).includes(name),
    (box) => names(box).some(begins(name)),
  ];
  for (const test of tests) {
    const spots = withPort.filter((spot) => test(boxAt(graph, spot)));
    if (spots.length > 0) return { spots, port };
  }
  return { spots: [], port };
}

/** The target that a pin names; null where it names none. */
export function readPin(graph: Graph, pin: string): Target | null {
  const { spots, port } = searchNodes(graph, pin);
  const [spot] = spots;
  return spot === undefined || spots.length > 1 ? null : { spot, port };
}

/** The beginning of a name, unless it cuts a number in two: `A1` begins `A1.0` but not `A11.0`. */
function begins(query: string): (name: string) => boolean {
  return (name) =>
    name.startsWith(query) && !(/\d$/.test(query) && /^\d/.test(name.slice(query.length)));
}

function names({ name, kind, block, head }: BoxData): string[] {
  const plain = compact(name);
  switch (kind) {
    case "start":
      return [plain, "start", "embedding", "input"];
    case "end":
      return [plain, "end", "logits", "output"];
    case "mlp":
      return [plain, `m${block}`];
    case "mid":
    case "post":
      return [plain, plain.replace("resid", "")];
    case "shared":
      // `A0.1.K` is how the graph calls the keys of a head that others share.
      return [plain, `a${block}.${head ?? 0}`, `kv${block}.${head ?? 0}`];
    case "head":
    case "attention":
      return [plain, plain.slice(1)];
  }
}

function hasPort(graph: Graph, spot: number, port: Port): boolean {
  const box = spot % graph.data.boxes.length;
  return graph.data.destinations.some((dest) => dest.box === box && dest.port === port);
}

/** `3:a9.6` or `store:a9.6` in parts; `at` is null where no position is named. */
function splitPosition(graph: Graph, query: string): { text: string; at: number[] | null } {
  const labels = graph.data.positions;
  const colon = query.lastIndexOf(":");
  if (!labels || colon < 0) return { text: compact(query), at: null };
  const wanted = compact(query.slice(0, colon));
  const at = labels.flatMap((label, i) =>
    String(i) === wanted || compact(label) === wanted ? [i] : [],
  );
  return { text: compact(query.slice(colon + 1)), at };
}

function compact(text: string): string {
  return text.toLowerCase().replace(/\s+/g, "");
}

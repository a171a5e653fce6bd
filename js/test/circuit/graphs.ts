import cases from "../../../tests/fixtures/circuit_view/cases.json";
import { readGraph, type Graph } from "../../src/circuit/graph";
import type {
  BoxData,
  DestinationData,
  GroupData,
  GraphData,
  ModuleData,
  Port,
} from "../../src/circuit/model";

export interface PathCase {
  name: string;
  circuit: string[];
  idle: string[];
  graph: GraphData;
}

/** Circuits whose dead ends are known; Python is tested with the same. */
export const PATH_CASES = cases.paths as unknown as PathCase[];

export const RANKING = cases.ranking;

/** Where the saved picture has nodes and edges: boxes as x, y and width, routes as points. */
export interface LayoutCase {
  name: string;
  model: Shape | { case: string };
  width: number;
  shown: string[] | null;
  size: [number, number];
  columns: [number, number][];
  rows: [number, number][];
  boxes: Record<string, [number, number, number]>;
  routes: Record<string, number[]>;
}

export const LAYOUT_CASES = cases.layouts as unknown as LayoutCase[];

/** Circuits before and after some switches; Python is tested with the same. */
export const SWITCH_CASES = cases.switches as unknown as {
  name: string;
  model: Shape;
  circuit: string[];
  switches: string[];
  result: string[];
}[];

/** Where the saved picture has the outlines of groups. */
export const OUTLINE_CASES = cases.outlines as unknown as {
  name: string;
  model: Shape;
  width: number;
  shown: string[] | null;
  groups: GroupData[];
  outlines: [number, number, number, number, number, boolean][];
}[];

/** The graph of a layout case: a plain one by its shape, or that of a path case. */
export function graphOf({ model }: LayoutCase): Graph {
  if (!("case" in model)) return readGraph(plainModel(model));
  const found = PATH_CASES.find(({ name }) => name === model.case);
  if (!found) throw new Error(`There is no case ${model.case}.`);
  return readGraph(found.graph);
}

interface Shape {
  blocks: number;
  heads: number;
  mlp?: boolean;
  parallel?: boolean;
  positions?: string[];
  official?: number[];
}

/** The graph of a plain model with Q, K and V, as Python describes it. */
export function plainModel(shape: Shape): GraphData {
  const { blocks, heads, mlp = true, parallel = false, positions = null } = shape;
  const boxes: BoxData[] = [{ name: "Resid Start", kind: "start", block: 0, head: null, layer: 0 }];
  const sources = [0];
  const destinations: DestinationData[] = [];
  const modules: ModuleData[] = [];
  const addModule = (rows: DestinationData[], nSources: number): void => {
    modules.push({ first: destinations.length, rows: rows.length, sources: [0, nSources] });
    destinations.push(...rows);
  };
  let layer = 0;
  for (let block = 0; block < blocks; block++) {
    layer += 1;
    const before = sources.length;
    const firstBox = boxes.length;
    for (let head = 0; head < heads; head++) {
      boxes.push({ name: `A${block}.${head}`, kind: "head", block, head, layer });
      sources.push(firstBox + head);
    }
    for (const port of ["Q", "K", "V"] as Port[]) {
      const rows = Array.from({ length: heads }, (_, head): DestinationData => ({
        name: `A${block}.${head}.${port}`,
        box: firstBox + head,
        port,
        feeds: [{ sources: [before + head, before + head + 1], moves: port !== "Q" }],
      }));
      addModule(rows, before);
    }
    if (!mlp) continue;
    if (!parallel) layer += 1;
    boxes.push({ name: `MLP ${block}`, kind: "mlp", block, head: null, layer });
    const self = sources.length;
    addModule(
      [
        {
          name: `MLP ${block}`,
          box: boxes.length - 1,
          port: "",
          feeds: [{ sources: [self, self + 1], moves: false }],
        },
      ],
      parallel ? before : self,
    );
    sources.push(boxes.length - 1);
  }
  boxes.push({ name: "Resid End", kind: "end", block: blocks - 1, head: null, layer: layer + 1 });
  addModule([{ name: "Resid End", box: boxes.length - 1, port: "", feeds: [] }], sources.length);
  return {
    boxes,
    sources,
    inputs: [0, 1],
    destinations,
    modules,
    positions,
    outputs: [0, positions?.length ?? 1],
    causal: true,
    official: shape.official ?? null,
  };
}

/** The edge of a name such as `A0.1->A1.0.Q`, or `2:A0.1->Resid End` at a token position. */
export function edgeNamed(graph: Graph, name: string): number {
  const found = edgeNames(graph).indexOf(name);
  if (found < 0) throw new Error(`There is no edge ${name}.`);
  return found;
}

export function edgeNames(graph: Graph): string[] {
  const { data } = graph;
  return Array.from({ length: graph.nEdges }, (_, edge) => {
    const source = data.boxes[data.sources[graph.source[edge] ?? 0] ?? 0]?.name ?? "";
    const dest = data.destinations[graph.dest[edge] ?? 0]?.name ?? "";
    return `${data.positions ? `${graph.position[edge] ?? 0}:` : ""}${source}->${dest}`;
  });
}

/** The spot of a box by its name, at the first token position. */
export function spotNamed(graph: Graph, name: string): number {
  const found = graph.data.boxes.findIndex((box) => box.name === name);
  if (found < 0) throw new Error(`There is no node ${name}.`);
  return found;
}

export { readGraph };

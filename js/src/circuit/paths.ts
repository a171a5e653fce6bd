// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { count, type Graph } from "./graph";

/**
 * The edges of a circuit that lie on a path from the input to the logits that count, as
 * `sp_widget.circuits.paths` finds them.
 *
 * `circuit` holds 1 for its edges. The modules stand in the order in which a model runs, so one
 * pass upwards finds what depends on the input and one pass downwards what the output needs.
 */
export function onPaths(graph: Graph, circuit: Uint8Array): Uint8Array {
  const { data, nPositions, nEdges } = graph;
  const nSources = data.sources.length;
  const nDests = data.destinations.length;
  const fed = new Uint8Array(nPositions * nSources);
  const read = new Uint8Array(nPositions * nDests);
  const needed = new Uint8Array(nPositions * nSources);
  const reached = new Uint8Array(nPositions * nDests);
  const result = new Uint8Array(nEdges);

  for (let at = 0; at < nPositions; at++) {
    fed.fill(1, at * nSources + data.inputs[0], at * nSources + data.inputs[1]);
  }
  let edge = 0;
  for (const module of data.modules) {
    for (let at = 0; at < nPositions; at++) {
      for (let row = module.first; row < module.first + module.rows; row++) {
        let any = 0;
        for (let src = module.sources[0]; src < module.sources[1]; src++, edge++) {
          any |= circuit[edge]! & fed[at * nSources + src]!;
        }
        reached[at * nDests + row] = any;
      }
    }
    for (let row = module.first; row < module.first + module.rows; row++) {
      for (const { sources, moves } of data.destinations[row]!.feeds) {
        carry(nPositions, moves, data.causal, (from, to) => {
          if (!reached[from * nDests + row]) return;
          for (let src = sources[0]; src < sources[1]; src++) fed[to * nSources + src] = 1;
        });
      }
    }
  }

  const last = nDests - 1;
  for (let at = data.outputs[0]; at < data.outputs[1]; at++) read[at * nDests + last] = 1;
  for (const module of [...data.modules].reverse()) {
    for (let row = module.first; row < module.first + module.rows; row++) {
      for (const { sources, moves } of data.destinations[row]!.feeds) {
        carry(nPositions, moves, data.causal, (from, to) => {
          for (let src = sources[0]; src < sources[1]; src++) {
            if (needed[to * nSources + src]) read[from * nDests + row] = 1;
          }
        });
      }
    }
    edge -= nPositions * module.rows * count(module.sources);
    let place = edge;
    for (let at = 0; at < nPositions; at++) {
      for (let row = module.first; row < module.first + module.rows; row++) {
        const use = read[at * nDests + row]!;
        for (let src = module.sources[0]; src < module.sources[1]; src++, place++) {
          const used = circuit[place]! & use;
          needed[at * nSources + src]! |= used;
          result[place] = used & fed[at * nSources + src]!;
        }
      }
    }
  }
  return result;
}

/** Calls `step` for every pair of positions that information goes between within a module. */
function carry(
  nPositions: number,
  moves: boolean,
  causal: boolean,
  step: (from: number, to: number) => void,
): void {
  for (let from = 0; from < nPositions; from++) {
    if (!moves) step(from, from);
    else for (let to = causal ? from : 0; to < nPositions; to++) step(from, to);
  }
}

// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import type { Names } from "./names";

/**
 * A circuit with some edges and nodes switched by hand: the same rule as
 * `sp_widget/report/edited_circuit.py`, which says what a switch is.
 */
export interface Edited {
  /** All edges, those of the circuit first, by importance among these and among the others. */
  readonly order: Uint32Array;
  readonly size: number;
  /** Edges that are in the slider's circuit and not in this one, by importance. */
  readonly off: Uint32Array;
  /** Of each edge -1 if it is one of those, and 1 if it is in this circuit and not in the slider's;
   * null: none is. */
  readonly changes: Int8Array | null;
}

/** The circuit of the first `size` edges in `order`, after some switches. */
export function edited(
  names: Names,
  order: Uint32Array,
  size: number,
  switches: readonly string[],
): Edited {
  if (switches.length === 0) {
    return { order, size, off: new Uint32Array(0), changes: null };
  }
  const before = new Uint8Array(order.length);
  for (let rank = 0; rank < size; rank++) before[order[rank]!] = 1;
  const after = before.slice();
  for (const text of switches) {
    const sign = text[0];
    for (const edge of names.edgesOf(text.slice(1))) {
      after[edge] = sign === "=" ? before[edge]! : sign === "+" ? 1 : 0;
    }
  }
  const inside = order.filter((edge) => after[edge] === 1);
  const sorted = new Uint32Array(order.length);
  sorted.set(inside);
  sorted.set(
    order.filter((edge) => after[edge] === 0),
    inside.length,
  );
  return {
    order: sorted,
    size: inside.length,
    off: order.filter((edge) => before[edge]! > after[edge]!),
    changes: Int8Array.from(after, (one, edge) => one - before[edge]!),
  };
}

/**
 * What the next press on a node or an edge does: back to what the slider has, where it is switched
 * already; otherwise off if any of it is in the circuit, and on if not.
 */
export function nextSwitch(
  names: Names,
  switches: readonly string[],
  included: Uint8Array,
  name: string,
): string {
  const last = switches.filter((text) => text.slice(1) === name).at(-1);
  if (last !== undefined && !last.startsWith("=")) return `=${name}`;
  return `${names.edgesOf(name).some((edge) => included[edge] === 1) ? "-" : "+"}${name}`;
}

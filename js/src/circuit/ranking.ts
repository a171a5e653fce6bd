// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

/** The scores of a message: 32-bit floats, little-endian as on every machine that runs Jupyter. */
export function readScores(view: DataView | null): Float32Array {
  if (!view || view.byteLength === 0) return new Float32Array(0);
  // Copied, because a message does not align its buffers.
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/**
 * Edges by importance: the absolute score from high to low, among equals the earlier edge first,
 * exactly as Python's `top_edges` ranks them.
 *
 * A radix sort, because half a million token-wise edges are ranked ten times a second: the bits
 * of positive floats sort like the floats themselves, and every pass keeps the order of equals.
 */
export function rankEdges(scores: Float32Array): Uint32Array {
  const n = scores.length;
  const bits = new Uint32Array(scores.buffer, scores.byteOffset, n);
  // The sign is taken off, and the rest inverted: high scores come first.
  const keys = bits.map((bit) => ~bit & 0x7fffffff);
  let order = Uint32Array.from(keys, (_, i) => i);
  let sorted = new Uint32Array(n);
  for (let shift = 0; shift < 32; shift += 8) {
    const ends = new Uint32Array(257);
    for (const key of keys) ends[((key >>> shift) & 255) + 1]! += 1;
    for (let digit = 0; digit < 256; digit++) ends[digit + 1]! += ends[digit]!;
    for (const edge of order) sorted[ends[(keys[edge]! >>> shift) & 255]!++] = edge;
    [order, sorted] = [sorted, order];
  }
  return order;
}

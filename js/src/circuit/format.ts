/** Numbers as a person reads them. */

import { formatCount } from "../panel/format";

export { formatCount };

/** Three significant digits: `0.123`, `12.3`, `1.2e-7`. */
export function formatScore(score: number): string {
  const size = Math.abs(score);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return score.toExponential(1);
  return score.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
}

/** `1 edge`, `12 edges`. */
export function counted(count: number, one: string): string {
  return `${formatCount(count)} ${one}${count === 1 ? "" : "s"}`;
}

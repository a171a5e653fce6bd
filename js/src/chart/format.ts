/** Numbers as a person reads them. */

import { formatCount, formatLoss } from "../panel/format";
import type { TraceSpec } from "./model";

export { formatCount };

/** What is written where there is no value. */
export const NONE = "–";

export function formatValue(spec: TraceSpec, value: number | null): string {
  if (value === null) return NONE;
  return spec.stepped ? formatCount(value) : formatLoss(value);
}

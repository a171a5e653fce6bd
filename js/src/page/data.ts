import type { ChartTraits } from "../chart/model";
import type { CircuitTraits } from "../circuit/model";
import type { FaithfulnessTraits } from "../faithfulness/model";
import type { RecordedPrompts } from "../generated/page";

/** What the page shows, by the traits of the views; what is missing is as a new view has it. */
export interface PageData {
  circuit: Partial<CircuitTraits>;
  /** Null: there was no training. */
  chart: Partial<ChartTraits> | null;
  /** Null: nothing was measured. */
  faithfulness: Partial<FaithfulnessTraits> | null;
  /** Null: there were no prompts to ask about. */
  prompts: RecordedPrompts | null;
}

/** Reads the page's data; bytes are written as `{"base64": …}`. */
export function readData(text: string): PageData {
  return JSON.parse(text, (_, value: unknown) =>
    isBytes(value) ? bytesOf(value.base64) : value,
  ) as PageData;
}

function isBytes(value: unknown): value is { base64: string } {
  return typeof value === "object" && value !== null && "base64" in value;
}

function bytesOf(base64: string): DataView {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new DataView(bytes.buffer);
}

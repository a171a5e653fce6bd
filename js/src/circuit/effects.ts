import type { MeasuredData } from "./model";
import { formatScore } from "./format";

/** Of a circuit, and of an edge in it, what the kernel has measured since the scores came. */
export class Effects {
  readonly #circuits = new Map<string, MeasuredData>();
  readonly #edges = new Map<string, MeasuredData>();

  /** Forgets everything: there are other scores. */
  clear(): void {
    this.#circuits.clear();
    this.#edges.clear();
  }

  take(measured: MeasuredData): void {
    this.#circuits.set(measured.key, measured);
    if (measured.other !== null) this.#edges.set(edgeKey(measured.key, measured.edge), measured);
  }

  /** What a circuit loses: `KL 0.180 → 0.213 (+0.033)`, with `…` for what is being measured. */
  ofCircuit(key: string): string {
    const found = this.#circuits.get(key);
    return inWords(found?.metric ?? "KL", found?.unedited ?? null, found?.circuit ?? null);
  }

  /** The same for a circuit with one more edge switched. */
  ofEdge(key: string, edge: string): string {
    const found = this.#edges.get(edgeKey(key, edge));
    const circuit = found ?? this.#circuits.get(key);
    return inWords(circuit?.metric ?? "KL", circuit?.circuit ?? null, found?.other ?? null);
  }

  knowsEdge(key: string, edge: string): boolean {
    return this.#edges.has(edgeKey(key, edge));
  }
}

/** As `CircuitView.question` in Python writes it. */
export function circuitKey(size: number, switches: readonly string[]): string {
  return [String(size), ...switches].join(" ");
}

function edgeKey(key: string, edge: string): string {
  return `${key}\n${edge}`;
}

function inWords(metric: string, before: number | null, after: number | null): string {
  const text = (value: number | null): string => (value === null ? "…" : formatScore(value));
  if (before === null || after === null) return `${metric} ${text(before)} → ${text(after)}`;
  const change = after - before;
  const sign = change < 0 ? "−" : "+";
  return `${metric} ${text(before)} → ${text(after)} (${sign}${text(Math.abs(change))})`;
}

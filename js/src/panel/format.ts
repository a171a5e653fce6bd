/** Numbers as a person reads them. */

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A number of things: `32,491`. */
export function formatCount(count: number): string {
  return COUNT.format(count);
}

/** Four significant digits, always of about the same width: `0.1234`, `12.35`, `1.2e-7`. */
export function formatLoss(loss: number): string {
  if (!Number.isFinite(loss)) return String(loss);
  if (loss === 0) return "0";
  const size = Math.abs(loss);
  if (size < 1e-3 || size >= 1e5) return loss.toExponential(2);
  return loss.toFixed(Math.min(4, Math.max(0, 3 - Math.floor(Math.log10(size)))));
}

/** A duration, coarser the longer it is: `8 s`, `1 min 20 s`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

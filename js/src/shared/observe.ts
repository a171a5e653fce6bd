import type { AnyModel } from "@anywidget/types";

/** Calls `update` now and whenever one of the traits changes, until `signal` aborts. */
export function observe<T extends Record<string, unknown>>(
  model: AnyModel<T>,
  traits: readonly (keyof T & string)[],
  update: () => void,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  for (const trait of traits) {
    // The same function in on and off: the model finds a listener by identity.
    model.on(`change:${trait}`, update);
  }
  signal.addEventListener(
    "abort",
    () => {
      for (const trait of traits) model.off(`change:${trait}`, update);
    },
    { once: true },
  );
  update();
}

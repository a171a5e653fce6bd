const NARROWEST = 160;

/**
 * Calls `changed` with the width of `element` in whole pixels, whenever it is another one, until
 * `signal` aborts. Returns a function that looks at once.
 */
export function followWidth(
  element: HTMLElement,
  changed: (width: number) => void,
  signal: AbortSignal,
): () => void {
  let width = 0;
  const look = (): void => {
    const next = Math.max(NARROWEST, Math.floor(element.clientWidth));
    if (next === width) return;
    width = next;
    changed(width);
  };
  const observer = new ResizeObserver(look);
  observer.observe(element);
  signal.addEventListener(
    "abort",
    () => {
      observer.disconnect();
    },
    { once: true },
  );
  return look;
}

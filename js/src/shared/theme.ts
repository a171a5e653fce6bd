/** Media queries that change colours without a change in the page. */
const MEDIA = ["(prefers-color-scheme: dark)", "(forced-colors: active)"];

/** Milliseconds that a stylesheet may take until it counts. */
const LATE = 300;

/**
 * Calls `changed` whenever the theme of the page may be another: an attribute of the page or its
 * body (JupyterLab's `data-jp-theme-light`, VS Code's classes), a stylesheet, a setting of the
 * system. In the next frame, when styles are computed, and once more for what arrives late.
 */
export function watchTheme(changed: () => void, signal: AbortSignal): void {
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const soon = (): void => {
    if (signal.aborted) return;
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = requestAnimationFrame(changed);
    timer = setTimeout(changed, LATE);
  };
  const observer = new MutationObserver(soon);
  observer.observe(document.documentElement, { attributes: true });
  observer.observe(document.body, { attributes: true });
  observer.observe(document.head, { childList: true });
  for (const query of MEDIA) {
    window.matchMedia(query).addEventListener("change", soon, { signal });
  }
  // A load does not bubble, but it is seen on its way down.
  document.head.addEventListener("load", soon, { capture: true, signal });
  signal.addEventListener(
    "abort",
    () => {
      observer.disconnect();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    },
    { once: true },
  );
}

import { followKernel } from "./kernel";

/**
 * Puts `root` into the view `el` until `signal` aborts, read-only for as long as no kernel is
 * behind it. `notice`: as in `followKernel`.
 */
export function mount(
  el: HTMLElement,
  root: HTMLElement,
  signal: AbortSignal,
  notice?: string,
): void {
  el.append(root);
  followKernel(el, root, signal, notice);
  signal.addEventListener(
    "abort",
    () => {
      root.remove();
    },
    { once: true },
  );
}

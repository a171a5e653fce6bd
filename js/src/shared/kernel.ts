import { h } from "./dom";

/** What ipywidgets puts on a view whose kernel is gone, or was never there. */
const DISCONNECTED = "jupyter-widgets-disconnected";

const NO_KERNEL =
  "No kernel is behind this widget: it shows its last state, and no variable holds its scores. " +
  "Run its cell to work with it.";

/** Whether a kernel is behind the view that `element` is in. */
export function hasKernel(element: Element): boolean {
  return element.closest(`.${DISCONNECTED}`) === null;
}

/**
 * Makes `root` read-only for as long as the view in `el` has no kernel: in a saved notebook that
 * was opened again, or after the kernel ended. `notice`: what to say about it; empty: nothing.
 */
export function followKernel(
  el: HTMLElement,
  root: HTMLElement,
  signal: AbortSignal,
  notice: string = NO_KERNEL,
): void {
  const words = h("p", { class: "sp-note sp-no-kernel", role: "note", "aria-live": "polite" });
  // A disabled fieldset disables every control in it, and leaves all of it readable.
  let frame: HTMLFieldSetElement | null = null;
  const look = (): void => {
    const disconnected = !hasKernel(el);
    if (disconnected && !frame) {
      frame = h("fieldset", { class: "sp-read-only", disabled: true, role: "none" });
      frame.append(...root.childNodes);
      frame.style.cssText = "display: contents; border: 0; margin: 0; padding: 0; min-width: 0";
      root.append(...(notice ? [words] : []), frame);
      words.textContent = notice;
    } else if (!disconnected && frame) {
      root.replaceChildren(...frame.childNodes);
      frame = null;
    }
  };
  look();
  const observer = new MutationObserver(look);
  const watch = (view: Element): void => {
    observer.observe(view, { attributes: true, attributeFilter: ["class"] });
  };
  watch(el);
  // The box around it, which also learns of a kernel that ends, is there only in the next frame.
  const frameId = requestAnimationFrame(() => {
    const box = el.closest(".jupyter-widgets");
    if (box) watch(box);
    look();
  });
  signal.addEventListener(
    "abort",
    () => {
      cancelAnimationFrame(frameId);
      observer.disconnect();
    },
    { once: true },
  );
}

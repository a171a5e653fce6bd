import type { AnyModel } from "@anywidget/types";

type Callback = (...args: never[]) => void;

/** The traits of a view in a page without a kernel: what changes them is in the page. */
export class PageModel<T extends Record<string, unknown>> implements AnyModel<T> {
  readonly #traits: Partial<T>;
  readonly #listeners = new Map<string, Set<Callback>>();

  /** `traits`: what the view asks for. */
  constructor(traits: Partial<T>) {
    this.#traits = { ...traits };
  }

  get widget_manager(): never {
    throw new Error("A page has no widgets but its own.");
  }

  get<K extends keyof T>(key: K): T[K] {
    return this.#traits[key] as T[K];
  }

  set<K extends keyof T>(key: K, value: T[K]): void {
    if (Object.is(this.#traits[key], value)) return;
    this.#traits[key] = value;
    for (const callback of [...(this.#listeners.get(`change:${String(key)}`) ?? [])]) callback();
  }

  on(eventName: string, callback: Callback): void {
    const callbacks = this.#listeners.get(eventName) ?? new Set();
    this.#listeners.set(eventName, callbacks.add(callback));
  }

  off(eventName?: string | null, callback?: Callback | null): void {
    if (eventName && callback) this.#listeners.get(eventName)?.delete(callback);
  }

  /** Nobody else holds the traits. */
  save_changes(): void {
    return;
  }

  /** Nobody is there to answer. */
  send(): void {
    return;
  }
}

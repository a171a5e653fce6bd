import type { AnyModel } from "@anywidget/types";
import { vi } from "vitest";

type Callback = (...args: never[]) => void;

/** A model as anywidget gives it to a view, with its listeners counted and its messages kept. */
export class FakeModel<T extends Record<string, unknown>> implements AnyModel<T> {
  readonly send = vi.fn<AnyModel<T>["send"]>();
  readonly save_changes = vi.fn<() => void>();
  readonly #traits: T;
  readonly #listeners = new Map<string, Set<Callback>>();

  constructor(traits: T) {
    this.#traits = { ...traits };
  }

  get widget_manager(): never {
    throw new Error("The panel has no business with the widget manager.");
  }

  get<K extends keyof T>(key: K): T[K] {
    return this.#traits[key];
  }

  set<K extends keyof T>(key: K, value: T[K]): void {
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

  /** What a message from Python brings to every view. */
  receive(message: unknown, buffers: DataView[] = []): void {
    for (const callback of [...(this.#listeners.get("msg:custom") ?? [])]) {
      (callback as (message: unknown, buffers: DataView[]) => void)(message, buffers);
    }
  }

  /** How many listeners are on the model. */
  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, callbacks) => sum + callbacks.size, 0);
  }
}

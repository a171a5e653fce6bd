import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { watchTheme } from "../../src/shared/theme";

const media = new EventTarget();
let watching: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("matchMedia", () => media);
  watching = new AbortController();
});
afterEach(() => {
  watching.abort();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** How often it was called after a change, once all that follows has come to pass. */
async function callsAfter(change: () => void): Promise<number> {
  const changed = vi.fn();
  watchTheme(changed, watching.signal);
  change();
  // An observer hears of it when the running code is done.
  await Promise.resolve();
  await vi.advanceTimersByTimeAsync(1000);
  return changed.mock.calls.length;
}

it.each<[string, () => void]>([
  ["the menu of JupyterLab", () => (document.body.dataset.jpThemeLight = "false")],
  [
    "a class of the page",
    () => {
      document.documentElement.classList.add("dark");
    },
  ],
  [
    "a stylesheet",
    () => {
      document.head.append(document.createElement("style"));
    },
  ],
  ["the system", () => media.dispatchEvent(new Event("change"))],
])(
  "a theme that %s changes is told in the next frame and when all is loaded",
  async (_, change) => {
    expect(await callsAfter(change)).toBe(2);
  },
);

it("nothing is told where nothing changes, and nothing after the end", async () => {
  expect(await callsAfter(() => undefined)).toBe(0);
  expect(
    await callsAfter(() => {
      document.body.classList.add("other");
      watching.abort();
    }),
  ).toBe(0);
});

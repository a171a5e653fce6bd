import { h, setAttribute, setText } from "../shared/dom";
import type { Tab } from "./model";

export interface Tabs {
  /** The strip of tabs, followed by what is in those of the panel itself. */
  elements: HTMLElement[];
  show(tabs: Tab[], chosen: string): void;
  /** Writes how much there is in a tab behind its label; 0: nothing. */
  count(name: string, count: number): void;
  /** Brings the keyboard to a tab. */
  focus(name: string): void;
  close(): void;
}

/** The class of the box that holds the panel, what is beside it, and the other tabs. */
const COCKPIT = ".sp-cockpit";

/**
 * A strip of tabs. What is in a tab is an element of `own`, and widgets that stand beside the panel in
 * the same box: those are only shown and hidden, so that they need to know nothing of tabs.
 */
export function createTabs(
  idPrefix: string,
  own: Record<string, HTMLElement>,
  choose: (name: string) => void,
): Tabs {
  const strip = h("div", { class: "sp-tabs", role: "tablist", "aria-label": "More of this run" });
  const contents = Object.entries(own).map(([name, element]) =>
    h("div", { class: `sp-tab sp-tab-${name}` }, element),
  );
  const counts = new Map<string, number>();
  let shown: Tab[] = [];
  let chosen = "";

  const tabId = (name: string): string => `${idPrefix}-tab-${name}`;
  const tabOf = (name: string): HTMLElement | null =>
    strip.querySelector<HTMLElement>(`[data-tab="${name}"]`);
  const contentsOf = (name: string): Element[] => [
    ...contents.filter((each) => each.classList.contains(`sp-tab-${name}`)),
    ...(strip.closest(COCKPIT)?.querySelectorAll(`:scope > .sp-tab-${name}`) ?? []),
  ];

  const mark = (): void => {
    for (const { name, label } of shown) {
      const tab = tabOf(name);
      const contents = contentsOf(name);
      const ids = contents.map((_, index) => `${idPrefix}-of-${name}-${String(index)}`);
      const selected = name === chosen;
      if (tab) {
        const count = counts.get(name) ?? 0;
        setText(tab, count ? `${label} (${count})` : label);
        setAttribute(tab, "aria-selected", String(selected));
        setAttribute(tab, "tabindex", selected ? "0" : "-1");
        setAttribute(tab, "aria-controls", ids.join(" ") || false);
      }
      for (const [index, content] of contents.entries()) {
        setAttribute(content, "id", ids[index] ?? false);
        setAttribute(content, "role", "tabpanel");
        setAttribute(content, "aria-labelledby", tabId(name));
        setAttribute(content, "hidden", !selected);
      }
    }
  };

  // Not buttons, which could not be pressed in a saved notebook, where there is most to read.
  const createTab = ({ name }: Tab): HTMLElement => {
    const tab = h("div", {
      id: tabId(name),
      class: "sp-tabs-tab",
      role: "tab",
      "data-tab": name,
      // JupyterLab moves from cell to cell with the same keys.
      "data-lm-suppress-shortcuts": "true",
    });
    tab.addEventListener("click", () => {
      choose(name);
      tab.focus();
    });
    return tab;
  };
  strip.addEventListener("keydown", (event) => {
    const index = shown.findIndex(({ name }) => name === chosen);
    const last = shown.length - 1;
    const next = {
      ArrowLeft: index > 0 ? index - 1 : last,
      ArrowRight: index < last ? index + 1 : 0,
      Home: 0,
      End: last,
    }[event.key];
    const name = next === undefined ? undefined : shown[next]?.name;
    if (name === undefined) return;
    event.preventDefault();
    choose(name);
    tabOf(name)?.focus();
  });

  // The widgets of other tabs come into the box when they are ready, and so does the panel itself.
  const arrivals = new MutationObserver(mark);
  const attached = new ResizeObserver(() => {
    const box = strip.closest(COCKPIT);
    if (!box) return;
    arrivals.observe(box, { childList: true });
    mark();
  });
  attached.observe(strip);

  return {
    elements: [strip, ...contents],
    show(tabs, wanted) {
      const names = (of: Tab[]): string => of.map(({ name }) => name).join();
      if (names(tabs) !== names(shown)) strip.replaceChildren(...tabs.map(createTab));
      shown = tabs;
      chosen = tabs.some(({ name }) => name === wanted) ? wanted : (tabs[0]?.name ?? "");
      mark();
    },
    count(name, count) {
      counts.set(name, count);
      mark();
    },
    focus(name) {
      tabOf(name)?.focus();
    },
    close() {
      attached.disconnect();
      arrivals.disconnect();
    },
  };
}

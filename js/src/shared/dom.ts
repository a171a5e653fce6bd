/** Attributes of an element: text is set as it is, true sets an empty attribute, false leaves it out. */
export type Attributes = Record<string, string | boolean>;

/** A new element with attributes and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    setAttribute(element, name, value);
  }
  element.append(...children);
  return element;
}

/** Sets or removes an attribute; leaves it alone where nothing changes. */
export function setAttribute(element: Element, name: string, value: string | boolean): void {
  if (value === false) {
    element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : value;
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets the text of an element; leaves it alone where nothing changes, so that nothing is announced. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether the keyboard focus is on the element or inside it, also within a shadow root. */
export function hasFocus(element: Element): boolean {
  const root = element.getRootNode();
  const active = root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
  return element.contains(active);
}

/** A prefix for element ids that no other view in the page uses. */
export function uniquePrefix(): string {
  return `sp-${Math.random().toString(36).slice(2, 10)}`;
}

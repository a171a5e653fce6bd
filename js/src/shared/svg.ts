const SVG = "http://www.w3.org/2000/svg";

/** A new element of a picture with attributes and children. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
  ...children: SVGElement[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Words in a picture. */
export function text(words: string, attributes: Record<string, string | number>): SVGTextElement {
  const element = svg("text", attributes);
  element.textContent = words;
  return element;
}

/** What a reader of the picture hears, and what stands beside the pointer. */
export function title(words: string): SVGTitleElement {
  const element = svg("title", {});
  element.textContent = words;
  return element;
}

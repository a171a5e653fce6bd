// docs/method.md as a page of its own. It travels inside the panel's bundle, so that a setting can
// link to what it means wherever the panel is: offline, from a wheel, without a kernel.
import { readFileSync } from "node:fs";

import { Marked } from "marked";

const SOURCE = new URL("../docs/method.md", import.meta.url);

const STYLE = `
  :root { color-scheme: light dark; }
  body { max-width: 54rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
  h2:target { text-decoration: underline; }
  pre { overflow-x: auto; padding: 0.5rem 0.75rem; border-left: 3px solid; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; }
  th, td { padding: 0.25rem 0.75rem; border: 1px solid; text-align: left; vertical-align: top; }
`;

/** The whole page as HTML. A heading's id is the name that GitHub gives it. */
export function methodPage() {
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const id = text.toLowerCase().replaceAll(" ", "-");
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        // A file beside the page is not there where the page is shown.
        return /^https?:/.test(href) ? `<a href="${href}">${text}</a>` : text;
      },
    },
  });
  const body = marked
    .parse(readFileSync(SOURCE, "utf8"))
    .replaceAll("<table>", '<div class="wide"><table>')
    .replaceAll("</table>", "</table></div>");
  const head =
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width">' +
    `<title>sp_widget: the method</title><style>${STYLE}</style>`;
  return `<!DOCTYPE html><html lang="en"><head>${head}</head><body>${body}</body></html>`;
}

/** What the sources know of the page: esbuild and vitest put it in their place. */
export const METHOD = { METHOD_PAGE: JSON.stringify(methodPage()) };

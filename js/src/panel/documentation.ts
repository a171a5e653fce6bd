import { h } from "../shared/dom";

/** docs/method.md as HTML; the build puts it here. */
declare const METHOD_PAGE: string;

export interface Documentation {
  /** A link to what a section says about a setting; opens a page of its own. */
  link(section: string, setting: string): HTMLAnchorElement;
  /** The links lead nowhere afterwards; a page that was opened stays. */
  close(): void;
}

/** The page on the method, from this bundle: it needs neither a network nor a kernel. */
export function createDocumentation(): Documentation {
  const url = URL.createObjectURL(new Blob([METHOD_PAGE], { type: "text/html" }));
  return {
    link: (section, setting) =>
      h(
        "a",
        {
          class: "sp-docs",
          href: `${url}#${anchor(section)}`,
          target: "_blank",
          rel: "noopener",
          "aria-label": `${setting} in the documentation`,
        },
        "?",
      ),
    close() {
      URL.revokeObjectURL(url);
    },
  };
}

/** The id of a heading in the page. */
function anchor(heading: string): string {
  return heading.toLowerCase().replaceAll(" ", "-");
}

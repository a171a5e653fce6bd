// Every index below is in range by construction.
/* eslint-disable @typescript-eslint/no-non-null-assertion */

import { GROUP_COLOURS, GROUP_DASHES, GROUP_PADDING } from "../generated/measures";
import { h } from "../shared/dom";
import { boxAt, positionOf, type Graph } from "./graph";
import type { Layout } from "./layout";
import type { GroupData } from "./model";

/** A line around nodes of a group that stand side by side. */
export interface Outline {
  group: number;
  left: number;
  top: number;
  width: number;
  height: number;
  /** Whether the group's name stands above it. */
  named: boolean;
}

/** The lines around groups: the same rule as `outlines` in `sp_widget/report/groups.py`. */
export function outlinesOf(graph: Graph, layout: Layout, groups: readonly GroupData[]): Outline[] {
  const groupOf = new Map(groups.flatMap(({ nodes }, i) => nodes.map((node) => [node, i])));
  const key = (spot: number): [number, number, number] => [
    positionOf(graph, spot),
    layout.y[spot]!,
    layout.x[spot]!,
  ];
  const spots = [...layout.shown.keys()].filter((spot) => layout.shown[spot] === 1);
  spots.sort((a, b) => {
    const [first, second] = [key(a), key(b)];
    return first[0] - second[0] || first[1] - second[1] || first[2] - second[2];
  });
  const found: Outline[] = [];
  const named = new Set<number>();
  let before = "";
  for (const spot of spots) {
    const group = groupOf.get(boxAt(graph, spot).name);
    const [x, y, half] = [layout.x[spot]!, layout.y[spot]!, layout.boxWidth[spot]! / 2];
    const here = `${positionOf(graph, spot)} ${y} ${group ?? ""}`;
    if (group !== undefined) {
      const last = here === before ? found.pop() : undefined;
      const left = last?.left ?? x - half - GROUP_PADDING;
      found.push({
        group,
        left,
        top: y - layout.boxHeight / 2 - GROUP_PADDING,
        width: x + half + GROUP_PADDING - left,
        height: layout.boxHeight + 2 * GROUP_PADDING,
        named: last?.named ?? !named.has(group),
      });
      named.add(group);
    }
    before = here;
  }
  return found;
}

/** The groups with a node in one of them, or in none: `name` empty. */
export function regrouped(groups: readonly GroupData[], node: string, name: string): GroupData[] {
  const others = groups
    .map((group) => ({ ...group, nodes: group.nodes.filter((each) => each !== node) }))
    .filter((group) => group.nodes.length > 0 || group.name === name);
  if (name === "") return others;
  if (!others.some((group) => group.name === name)) {
    return [...others, { name, nodes: [node], note: "" }];
  }
  return others.map((group) =>
    group.name === name ? { ...group, nodes: [...group.nodes, node] } : group,
  );
}

/** Draws the groups, below the nodes and above the edges. */
export function createGroups(): {
  element: HTMLElement;
  show(graph: Graph, layout: Layout, groups: readonly GroupData[]): void;
} {
  const element = h("div", { class: "spc-groups", "aria-hidden": "true" });
  return {
    element,
    show(graph, layout, groups) {
      element.replaceChildren(
        ...outlinesOf(graph, layout, groups).map((outline) => {
          const { group, left, top, width, height, named } = outline;
          const colour = GROUP_COLOURS[group % GROUP_COLOURS.length]!;
          const dash = GROUP_DASHES[group % GROUP_DASHES.length]!;
          const line = h("div", { class: "spc-group" });
          line.style.cssText =
            `left: ${left}px; top: ${top}px; width: ${width}px; height: ${height}px; ` +
            `--spc-group: ${colour}; border-style: ${dash}`;
          if (named) line.append(h("span", { class: "spc-group-name" }, groups[group]!.name));
          return line;
        }),
      );
    },
  };
}

/** The view of single prompts: the view of the Python `PromptsView`. */

import type { RenderProps } from "@anywidget/types";

import { h, setText, uniquePrefix } from "../shared/dom";
import { mount } from "../shared/mount";
import { observe } from "../shared/observe";
import { createList, createTyped } from "./list";
import type { PromptsTraits } from "./model";
import { createNode } from "./node";
import { createStrip } from "./strip";

function render({ model, el, signal }: RenderProps<PromptsTraits>): void {
  const prefix = uniquePrefix();
  const change = <K extends keyof PromptsTraits>(trait: K, value: PromptsTraits[K]): void => {
    model.set(trait, value);
    model.save_changes();
  };
  const list = createList(prefix, (place) => {
    change("chosen", place);
  });
  const typed = createTyped(prefix, (clean, corrupt) => {
    model.send({ type: "typed", clean, corrupt });
  });
  const strip = createStrip();
  const node = createNode(
    prefix,
    (name) => {
      change("node", name);
    },
    signal,
  );
  const note = h("p", { class: "spp-note", role: "status" });
  const root = h(
    "div",
    { class: "sp-prompts", role: "region", "aria-label": "Prompts" },
    note,
    h(
      "div",
      { class: "spp-top" },
      list.element,
      h("div", { class: "spp-pair" }, strip.element, typed.element),
    ),
    node.element,
  );
  mount(el, root, signal, "");

  observe(
    model,
    ["prompts", "loss", "list_note", "in_common", "chosen"],
    () => {
      list.show({
        prompts: model.get("prompts"),
        loss: model.get("loss"),
        list_note: model.get("list_note"),
        in_common: model.get("in_common"),
        chosen: model.get("chosen"),
      });
    },
    signal,
  );
  observe(
    model,
    ["typed", "typed_problem", "typed_field"],
    () => {
      typed.show({
        typed: model.get("typed"),
        typed_problem: model.get("typed_problem"),
        typed_field: model.get("typed_field"),
      });
    },
    signal,
  );
  observe(
    model,
    ["strip"],
    () => {
      strip.show(model.get("strip"));
    },
    signal,
  );
  observe(
    model,
    ["nodes", "node"],
    () => {
      node.showNames(model.get("nodes"), model.get("node"));
    },
    signal,
  );
  // The last of the three that come in one message has the others with it.
  observe(
    model,
    ["node_data", "whole_pattern", "circuit_pattern"],
    () => {
      node.show({
        node_data: model.get("node_data"),
        whole_pattern: model.get("whole_pattern"),
        circuit_pattern: model.get("circuit_pattern"),
      });
    },
    signal,
  );
  observe(
    model,
    ["note"],
    () => {
      setText(note, model.get("note"));
      note.hidden = model.get("note") === "";
    },
    signal,
  );
}

export default { render };

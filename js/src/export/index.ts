/** The export group: the view of the Python `ExportPanel`. */

import type { RenderProps } from "@anywidget/types";

import { createAvailability } from "../shared/availability";
import { h, setText, uniquePrefix } from "../shared/dom";
import { mount } from "../shared/mount";
import { observe } from "../shared/observe";
import { download } from "./download";
import { isAnswer, type ExportTraits } from "./model";

function render({ model, el, signal }: RenderProps<ExportTraits>): void {
  const prefix = uniquePrefix();
  const select = h("select", {
    id: `${prefix}-format`,
    class: "spe-select",
    // JupyterLab would take arrow keys and letters for commands on cells.
    "data-lm-suppress-shortcuts": "true",
  });
  const button = h("button", { type: "button", class: "spe-button" }, "Download");
  const available = createAvailability(button);
  const status = h("span", { class: "spe-status", role: "status" });
  const group = h(
    "div",
    { class: "sp-export", role: "group", "aria-label": "Export" },
    h("label", { for: select.id, class: "spe-label" }, "Export"),
    select,
    button,
    status,
  );

  let requests = 0;
  let pending = "";
  button.addEventListener("click", () => {
    if (!available.available) return;
    requests += 1;
    pending = `${prefix}-${requests}`;
    available.set(false);
    setText(status, "Making the file …");
    model.send({ type: "export", format: select.value, request: pending });
  });
  const answered = (message: unknown, buffers: DataView[]): void => {
    if (!isAnswer(message) || message.request !== pending) return;
    pending = "";
    available.set(true);
    if (message.type === "file") {
      download(message.name, message.mime, buffers[0]);
      setText(status, `${message.name} was handed to the browser.`);
    } else {
      setText(status, message.text);
    }
  };
  model.on("msg:custom", answered);
  observe(
    model,
    ["formats"],
    () => {
      const options = model.get("formats");
      select.replaceChildren(
        ...options.map(({ name, label }) => h("option", { value: name }, label)),
      );
    },
    signal,
  );
  mount(el, group, signal, "");
  signal.addEventListener(
    "abort",
    () => {
      model.off("msg:custom", answered);
    },
    { once: true },
  );
}

export default { render };

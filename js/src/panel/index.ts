/** The control panel: the view of the Python `ControlPanel`. */

import type { RenderProps } from "@anywidget/types";

import { h, setText, uniquePrefix } from "../shared/dom";
import { observe } from "../shared/observe";
import { createControls } from "./controls";
import { isUnderWay, sendCommand, type PanelTraits } from "./model";
import { createSaving } from "./saving";
import { createSettings } from "./settings";
import { createStatus } from "./status";

function render({ model, el, signal }: RenderProps<PanelTraits>): void {
  const prefix = uniquePrefix();

  const controls = createControls((command) => {
    sendCommand(model, command);
  });
  const status = createStatus();
  const note = h("p", { class: "sp-note" });
  const settings = createSettings(prefix, (name, value) => {
    const values = model.get("values");
    if (values[name] === value) return;
    model.set("values", { ...values, [name]: value });
    model.save_changes();
  });
  const saving = createSaving(
    prefix,
    (name) => {
      model.set("save_as", name);
      model.save_changes();
    },
    (command) => {
      sendCommand(model, command);
    },
  );

  const panel = h(
    "div",
    { class: "sp-panel", role: "region", "aria-label": "Subnetwork Probing" },
    h(
      "div",
      { class: "sp-layout" },
      h(
        "div",
        { class: "sp-header" },
        h("span", { class: "sp-title", "aria-hidden": "true" }, "Subnetwork Probing"),
        controls.element,
      ),
      note,
      status.element,
      settings.element,
      saving.element,
    ),
  );
  el.append(panel);
  signal.addEventListener(
    "abort",
    () => {
      panel.remove();
    },
    { once: true },
  );

  const showStatus = (): void => {
    const current = model.get("status");
    panel.dataset.state = current.state;
    controls.update(current.state);
    settings.setLocked(isUnderWay(current.state));
    status.update(current);
  };
  const showValues = (): void => {
    settings.show(model.get("values"));
  };
  const showProblems = (): void => {
    settings.showProblems(model.get("problems"));
  };
  const showFields = (): void => {
    settings.build(model.get("fields"));
    showValues();
    showProblems();
    settings.setLocked(isUnderWay(model.get("status").state));
  };
  observe(model, ["fields"], showFields, signal);
  observe(model, ["values"], showValues, signal);
  observe(model, ["problems"], showProblems, signal);
  observe(model, ["status"], showStatus, signal);
  observe(
    model,
    ["save_as", "save_as_problem"],
    () => {
      saving.show(model.get("save_as"), model.get("save_as_problem"));
    },
    signal,
  );
  observe(
    model,
    ["overwrite_prompt"],
    () => {
      saving.ask(model.get("overwrite_prompt"));
    },
    signal,
  );
  observe(
    model,
    ["responsive"],
    () => {
      setText(note, model.get("responsive"));
    },
    signal,
  );
}

export default { render };

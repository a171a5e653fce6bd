/** The control panel: the view of the Python `ControlPanel`. */

import type { RenderProps } from "@anywidget/types";

import { h, setText, uniquePrefix } from "../shared/dom";
import { mount } from "../shared/mount";
import { observe } from "../shared/observe";
import { createCode } from "./code";
import { createControls } from "./controls";
import { createDiagnosis } from "./diagnosis";
import { createDocumentation } from "./documentation";
import { createValidation } from "./validation";
import {
  isUnderWay,
  sendCommand,
  sendMethod,
  sendPreset,
  sendRunEdit,
  sendSave,
  type Command,
  type PanelTraits,
} from "./model";
import { createKeeping } from "./keeping";
import { createRuns } from "./runs";
import { createSaving } from "./saving";
import { createSettings } from "./settings";
import { createStatus } from "./status";
import { createTabs } from "./tabs";

function render({ model, el, signal }: RenderProps<PanelTraits>): void {
  const prefix = uniquePrefix();

  const send = (command: Command): void => {
    sendCommand(model, command);
  };
  const controls = createControls(send);
  const status = createStatus();
  const diagnosis = createDiagnosis();
  const note = h("p", { class: "sp-note" });
  const validation = createValidation(send);
  const documentation = createDocumentation();
  const saving = createSaving(
    prefix,
    (name) => {
      model.set("save_as", name);
      model.save_changes();
    },
    send,
    () => {
      controls.focus();
    },
  );
  const settings = createSettings(
    prefix,
    (name, value) => {
      const values = model.get("values");
      if (values[name] === value) return;
      model.set("values", { ...values, [name]: value });
      model.save_changes();
    },
    (method) => {
      sendMethod(model, method);
    },
    (preset) => {
      sendPreset(model, preset);
    },
    () => {
      send("estimate");
    },
    documentation,
    saving.field,
  );
  const runs = createRuns(
    (number, change) => {
      sendRunEdit(model, number, change);
    },
    () => {
      tabs.focus("runs");
    },
  );
  const code = createCode(() => {
    send("code");
  });
  const tabs = createTabs(
    prefix,
    {
      settings: settings.element,
      runs: runs.element,
      code: code.element,
      export: createKeeping((folder) => {
        sendSave(model, folder);
      }),
    },
    (name) => {
      if (model.get("tab") === name) return;
      model.set("tab", name);
      model.save_changes();
    },
  );

  const panel = h(
    "div",
    { class: "sp-panel", role: "region", "aria-label": "Subnetwork Probing" },
    h(
      "div",
      { class: "sp-head" },
      h(
        "div",
        { class: "sp-head-parts" },
        controls.element,
        status.line,
        status.progress,
        status.alert,
        saving.question,
        note,
        diagnosis.element,
        validation.element,
      ),
    ),
    ...tabs.elements,
  );
  const told = (message: { type?: unknown }): void => {
    if (message.type === "code") code.arrived();
  };
  model.on("msg:custom", told);
  mount(el, panel, signal);
  signal.addEventListener(
    "abort",
    () => {
      model.off("msg:custom", told);
      tabs.close();
      documentation.close();
    },
    { once: true },
  );

  const showStatus = (): void => {
    const current = model.get("status");
    panel.dataset.state = current.state;
    controls.update(current.state);
    settings.setLocked(isUnderWay(current.state));
    // With the status too: a choice that was refused goes back.
    settings.showMethods(model.get("methods"), model.get("method"));
    settings.setIdle(current.state === "idle");
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
  observe(model, ["status", "methods", "method"], showStatus, signal);
  observe(
    model,
    ["diagnosis", "outlook", "validation", "runs", "since_last_run", "code", "responsive"],
    () => {
      diagnosis.show(model.get("diagnosis"));
      settings.showOutlook(model.get("outlook"));
      validation.update(model.get("validation"));
      runs.show(model.get("runs"));
      runs.showDifferences(model.get("since_last_run"));
      code.show(model.get("code"));
      tabs.count("runs", model.get("runs").length);
      setText(note, model.get("responsive"));
    },
    signal,
  );
  // Code is written only while somebody reads it, and then once for every state.
  let askedFor = "";
  observe(
    model,
    ["tabs", "tab", "status"],
    () => {
      tabs.show(model.get("tabs"), model.get("tab"));
      const wanted = model.get("tab") === "code" ? model.get("status").state : "";
      if (wanted && wanted !== askedFor) send("code");
      askedFor = wanted;
    },
    signal,
  );
  observe(
    model,
    ["presets", "preset"],
    () => {
      settings.showPresets(model.get("presets"), model.get("preset"));
    },
    signal,
  );
  observe(
    model,
    ["save_as", "save_as_problem", "overwrite_prompt"],
    () => {
      saving.ask(model.get("overwrite_prompt"));
      saving.show(model.get("save_as"), model.get("save_as_problem"));
    },
    signal,
  );
}

export default { render };

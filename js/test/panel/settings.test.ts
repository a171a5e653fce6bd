import { afterEach, describe, expect, it } from "vitest";

import type { Field } from "../../src/panel/model";
import {
  blobs,
  description,
  FIELDS,
  IDLE,
  leave,
  openPanel,
  PRESETS,
  press,
  RUNNING,
  type,
  type View,
} from "./setup";

afterEach(() => {
  document.body.replaceChildren();
});

describe("the fields", () => {
  it("are one labelled control per parameter, holding its value", () => {
    const view = openPanel();
    for (const { label } of FIELDS) expect(view.control(label)).toBeDefined();
    expect(view.control("Learning rate").value).toBe("0.1");
    expect(view.control("Circuit size").placeholder).toBe("as few as possible");
    expect(view.select("Mask function").value).toBe("hard_concrete");
    expect([...view.select("Mask function").options].map(({ value }) => value)).toEqual([
      "hard_concrete",
      "sigmoid",
      "none",
    ]);
    expect(view.control("Tree optimisation").checked).toBe(false);
  });

  it("are described by their help", () => {
    const view = openPanel();
    const control = view.control("Lambda");
    expect(description(view, control)).toEqual(["Weight of the regularizer."]);
  });

  it("show the help of the one in focus", () => {
    const view = openPanel();
    view.control("Lambda").focus();
    expect(view.el.textContent).toContain("Lambda: Weight of the regularizer.");
    view.button("Start").focus();
    expect(view.el.textContent).not.toContain("Lambda: Weight of the regularizer.");
  });

  it("pass on what was typed as it was typed", () => {
    const view = openPanel();
    const control = view.control("Learning rate");
    type(control, "1e-3");
    expect(view.model.save_changes).not.toHaveBeenCalled();
    leave(control);
    expect(view.model.get("values")).toMatchObject({ learning_rate: "1e-3", epochs: "20" });
    expect(view.model.save_changes).toHaveBeenCalledOnce();
  });

  it("pass on an edit at Enter, once", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    type(control, "5");
    press(control, "Enter");
    expect(view.model.get("values")).toMatchObject({ epochs: "5" });
    leave(control);
    expect(view.model.save_changes).toHaveBeenCalledOnce();
  });

  it("give up an edit at Escape", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    type(control, "5");
    press(control, "Escape");
    expect(control.value).toBe("20");
    control.blur();
    expect(view.model.save_changes).not.toHaveBeenCalled();
  });

  it("pass on a choice and a tick", () => {
    const view = openPanel();
    const select = view.select("Mask function");
    select.value = "none";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    view.control("Tree optimisation").click();
    expect(view.model.get("values")).toMatchObject({ mask_fn: "none", tree_optimisation: true });
    expect(view.model.save_changes).toHaveBeenCalledTimes(2);
  });

  it("follow the kernel", () => {
    const view = openPanel();
    view.model.set("values", { ...view.model.get("values"), epochs: "7", tree_optimisation: true });
    expect(view.control("Epochs").value).toBe("7");
    expect(view.control("Tree optimisation").checked).toBe(true);
  });

  it("do not lose what is being typed when the kernel changes the values", () => {
    const view = openPanel();
    const control = view.control("Learning rate");
    type(control, "0.00");
    view.model.set("values", { ...view.model.get("values"), learning_rate: "0.2", epochs: "9" });
    view.model.set("status", RUNNING);
    expect(control.value).toBe("0.00");
    expect(view.control("Epochs").value).toBe("9");

    type(control, "0.001");
    leave(control);
    expect(view.model.get("values")).toMatchObject({ learning_rate: "0.001", epochs: "9" });
  });

  it("show the kernel's value in a field that is in focus but not edited", () => {
    const view = openPanel();
    const control = view.control("Learning rate");
    control.focus();
    view.model.set("values", { ...view.model.get("values"), learning_rate: "0.2" });
    expect(control.value).toBe("0.2");
  });

  it("are built anew when the kernel describes them anew", () => {
    const view = openPanel();
    view.model.set(
      "fields",
      FIELDS.map((field) => ({ ...field, label: `${field.label} (new)` })),
    );
    expect(view.control("Epochs (new)").value).toBe("20");
  });
});

describe("a problem", () => {
  it("is explained beside its field and goes when it is solved", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    view.model.set("problems", { epochs: "wanted a whole number, got '3.5'" });
    expect(control.getAttribute("aria-invalid")).toBe("true");
    expect(description(view, control)).toContain("wanted a whole number, got '3.5'");
    expect(control.parentElement?.textContent).toContain("wanted a whole number, got '3.5'");
    expect(view.control("Lambda").hasAttribute("aria-invalid")).toBe(false);

    view.model.set("problems", {});
    expect(control.hasAttribute("aria-invalid")).toBe(false);
    expect(description(view, control)).toEqual([]);
  });

  it("unfolds the group that it is in", () => {
    const view = openPanel();
    const group = view.el.querySelector<HTMLDetailsElement>("details:has(.sp-grid)");
    expect(group?.open).toBe(false);
    view.model.set("problems", { mask_fn: "wanted another" });
    expect(group?.open).toBe(true);
  });
});

describe("while a run is under way", () => {
  it.each(["preparing", "running", "paused", "stopping"] as const)(
    "only live fields can be changed (%s)",
    (state) => {
      const view = openPanel({ status: { ...RUNNING, state } });
      const free = FIELDS.filter(({ label }) => !view.control(label).disabled);
      expect(free.map(({ label }) => label)).toEqual(["Learning rate", "Lambda"]);
    },
  );

  it.each(["idle", "done", "stopped", "failed"] as const)(
    "and otherwise every field can (%s)",
    (state) => {
      const view = openPanel({ status: { ...RUNNING, state } });
      expect(FIELDS.some(({ label }) => view.control(label).disabled)).toBe(false);
    },
  );

  it("the settings fold to a line of what is set and what may be changed", () => {
    const view = openPanel();
    const settings = view.el.querySelector<HTMLElement>(".sp-settings");
    const line = (): string | null | undefined =>
      settings?.querySelector(".sp-set-row:not([hidden]) .sp-set")?.textContent;
    expect(settings?.dataset.folded).toBe("false");
    expect(line()).toBeUndefined();

    view.model.set("status", RUNNING);
    expect(settings?.dataset.folded).toBe("true");
    expect(line()).toBe("Subnetwork probing · Epochs 20 · Circuit size as few as possible");
    view.button("All settings").click();
    expect(settings?.dataset.folded).toBe("false");
    view.button("Fewer settings").click();
    expect(settings?.dataset.folded).toBe("true");

    view.model.set("status", { ...RUNNING, state: "done" });
    expect(settings?.dataset.folded).toBe("false");
  });

  it("a field in which somebody is stays in view", () => {
    const view = openPanel();
    view.control("Epochs").focus();
    view.model.set("status", RUNNING);
    expect(view.el.querySelector<HTMLElement>(".sp-settings")?.dataset.folded).toBe("false");
  });

  it("an edit that came too late is taken back", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    type(control, "5");
    view.model.set("status", RUNNING);
    expect(document.activeElement).toBe(control);
    expect(control.readOnly).toBe(true);
    leave(control);
    expect(control.value).toBe("20");
    expect(control.disabled).toBe(true);
    expect(view.model.save_changes).not.toHaveBeenCalled();

    view.model.set("status", IDLE);
    expect(control.disabled).toBe(false);
    expect(control.readOnly).toBe(false);
  });
});

describe("the method", () => {
  const choose = (view: View, name: string): void => {
    const select = view.select("Method");
    select.value = name;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };

  it("is chosen from the list and its fields come from Python", () => {
    const view = openPanel();
    const select = view.select("Method");
    expect([...select.options].map(({ text }) => text)).toEqual(["Subnetwork probing", "ACDC"]);
    expect(description(view, select)).toEqual(["Trains a mask."]);
    choose(view, "acdc");
    expect(view.model.send.mock.calls).toEqual([[{ type: "method", method: "acdc" }]]);
    expect(description(view, select)).toEqual(["Removes edge after edge."]);

    const [first] = FIELDS;
    if (!first) throw new Error("There are fields.");
    const thresholds: Field = {
      ...first,
      name: "thresholds",
      label: "Thresholds",
      kind: "numbers",
    };
    view.model.set("values", { thresholds: "0.1, 0.3" });
    view.model.set("fields", [thresholds]);
    view.model.set("method", "acdc");
    expect(view.control("Thresholds").value).toBe("0.1, 0.3");
    expect(() => view.control("Learning rate")).toThrow();
  });

  it("says of each what it is for", () => {
    const parts = openPanel().el.querySelectorAll(".sp-methods span");
    expect([...parts].map(({ textContent }) => textContent)).toEqual([
      "Subnetwork probing",
      "Trains a mask.",
      "ACDC",
      "Removes edge after edge.",
    ]);
  });

  it.each(["running", "paused", "done", "failed"] as const)("is locked while %s", (state) => {
    const view = openPanel({ status: { ...RUNNING, state } });
    const select = view.select("Method");
    expect(select.disabled).toBe(true);
    expect(description(view, select)[0]).toContain("Reset the run to choose another method.");
    view.model.set("status", IDLE);
    expect(select.disabled).toBe(false);
    expect(description(view, select)).toEqual(["Trains a mask."]);
  });

  it("goes back when the choice was refused", () => {
    const view = openPanel();
    choose(view, "acdc");
    view.model.set("status", { ...IDLE, message: "cannot choose a method" });
    expect(view.select("Method").value).toBe("subnetwork_probing");
  });

  it("keeps what is being typed while the fields are those that they were", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    type(control, "7");
    view.model.set("fields", structuredClone(FIELDS));
    expect(view.control("Epochs")).toBe(control);
    expect(control.value).toBe("7");
  });

  it("has no presets where there are none", () => {
    const view = openPanel({ presets: [], preset: "custom" });
    const field = view.select("Preset").closest<HTMLElement>(".sp-field");
    expect(field?.hidden).toBe(true);
    view.model.set("presets", PRESETS);
    expect(field?.hidden).toBe(false);
  });
});

describe("a preset", () => {
  const chosen = (view: View): string[] =>
    [...view.select("Preset").options].map(({ textContent }) => textContent);

  it("is chosen from the list and filled in by Python", () => {
    const view = openPanel();
    const select = view.select("Preset");
    expect([select.value, chosen(view)]).toEqual(["reference", ["Reference", "IOI"]]);
    select.value = "ioi";
    select.dispatchEvent(new Event("change", { bubbles: true }));
    expect(view.model.send.mock.calls).toEqual([[{ type: "preset", preset: "ioi" }]]);
  });

  it("is called custom when the settings are of no preset", () => {
    const view = openPanel();
    view.model.set("preset", "custom");
    expect(view.select("Preset").value).toBe("custom");
    expect(chosen(view)[0]).toBe("Custom");
  });

  it("cannot be chosen while a run is under way", () => {
    expect(openPanel({ status: RUNNING }).select("Preset").disabled).toBe(true);
  });
});

describe("what the training will take", () => {
  it("is told before the start, and can be measured while nothing runs", () => {
    const view = openPanel();
    expect(view.el.textContent).toContain("32,491 edges, 400 steps.");
    view.button("Estimate time").click();
    expect(view.model.send.mock.calls).toEqual([[{ type: "command", command: "estimate" }]]);
    view.model.set("status", RUNNING);
    expect(view.button("Estimate time").disabled).toBe(true);
  });

  it("comes with a warning where it is too much", () => {
    const view = openPanel({ outlook: { text: "400 steps.", warning: "Needs too much memory." } });
    expect(view.el.querySelector(".sp-outlook-warning")?.textContent).toBe(
      "Needs too much memory. 400 steps.",
    );
  });
});

describe("the help", () => {
  const spec = FIELDS.map((field) => ({ ...field, section: "Masks and loss" as const }));
  const link = (el: HTMLElement, name: string): HTMLAnchorElement | null =>
    el.querySelector(`a[aria-label="${name} in the documentation"]`);

  it("links every setting to its section of a page that needs no network", async () => {
    const view = openPanel({ fields: spec });
    for (const { label } of spec) expect(link(view.el, label)).not.toBeNull();
    const [address = "", section] = link(view.el, "Lambda")?.href.split("#") ?? [];
    expect(section).toBe("masks-and-loss");
    const page = new DOMParser().parseFromString(await text(blobs.get(address)), "text/html");
    expect(page.getElementById("masks-and-loss")?.textContent).toBe("Masks and loss");
    expect(page.querySelectorAll("table").length).toBeGreaterThan(0);
    // Files beside it in the repository are not where the page is.
    for (const { href } of page.links) expect(href).toMatch(/^https:/);
    view.close();
    expect(blobs.has(address)).toBe(false);
  });

  it("goes on explaining the setting whose link has the focus", () => {
    const view = openPanel({ fields: spec });
    link(view.el, "Lambda")?.focus();
    expect(view.el.querySelector(".sp-help")?.textContent).toBe(
      "Lambda: Weight of the regularizer.",
    );
  });

  it("has no link where there is nothing more to read", () => {
    expect(openPanel().el.querySelector("a")).toBeNull();
  });
});

describe("a number", () => {
  it("is moved by the arrow keys and passed on when they are let go", () => {
    const view = openPanel({ fields: FIELDS.map((field) => ({ ...field, step: 0, min: 0 })) });
    const control = view.control("Learning rate");
    control.focus();
    press(control, "ArrowUp");
    press(control, "ArrowUp");
    expect(control.value).toBe("0.5");
    expect(view.model.save_changes).not.toHaveBeenCalled();
    control.dispatchEvent(new KeyboardEvent("keyup", { key: "ArrowUp", bubbles: true }));
    expect(view.model.get("values")).toMatchObject({ learning_rate: "0.5" });
    expect(view.model.save_changes).toHaveBeenCalledOnce();
  });

  it("stays where it is while it is locked", () => {
    const view = openPanel();
    const control = view.control("Epochs");
    control.focus();
    view.model.set("status", RUNNING);
    press(control, "ArrowUp");
    expect(control.value).toBe("20");
  });
});

describe("a field that is of no use", () => {
  it("is locked, and its description says why", () => {
    const view = openPanel({
      fields: FIELDS.map((field) => ({ ...field, unavailable: "There is no validation data." })),
    });
    const control = view.control("Lambda");
    expect(control.disabled).toBe(true);
    expect(description(view, control)).toEqual([
      "There is no validation data. Weight of the regularizer.",
    ]);
  });
});

/** jsdom's blobs have no other way to their text. */
function text(blob: Blob | undefined): Promise<string> {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => {
      resolve(reader.result as string);
    };
    reader.readAsText(blob ?? new Blob());
  });
}

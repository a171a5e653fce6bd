import type { RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import panel from "../../src/export/index";
import type { ExportTraits } from "../../src/export/model";
import { FakeModel } from "../fake-model";

interface Saved {
  name: string;
  type: string;
  bytes: number[];
}

let saved: Promise<Saved>[] = [];

beforeEach(() => {
  saved = [];
  let blob = new Blob();
  vi.stubGlobal(
    "URL",
    Object.assign(URL, {
      createObjectURL: (content: Blob) => {
        blob = content;
        return "blob:1";
      },
      revokeObjectURL: vi.fn(),
    }),
  );
  vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (
    this: HTMLAnchorElement,
  ) {
    const { download: name } = this;
    const content = blob;
    saved.push(
      new Promise((resolve) => {
        // jsdom's blobs have no other way to their bytes.
        const reader = new FileReader();
        reader.onload = () => {
          const bytes = [...new Uint8Array(reader.result as ArrayBuffer)];
          resolve({ name, type: content.type, bytes });
        };
        reader.readAsArrayBuffer(content);
      }),
    );
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  document.body.replaceChildren();
});

function open(model = new FakeModel<ExportTraits>(traits())): {
  model: FakeModel<ExportTraits>;
  el: HTMLElement;
  select: HTMLSelectElement;
  button: HTMLButtonElement;
  status: () => string;
  close: () => void;
} {
  const el = document.createElement("div");
  el.className = "jupyter-widgets";
  document.body.append(el);
  const controller = new AbortController();
  const props = { model, el, signal: controller.signal };
  panel.render(props as unknown as RenderProps<ExportTraits>);
  const one = (query: string): Element => {
    const found = el.querySelector(query);
    if (!found) throw new Error(query);
    return found;
  };
  return {
    model,
    el,
    select: one("select") as HTMLSelectElement,
    button: one("button") as HTMLButtonElement,
    status: () => one("[role=status]").textContent,
    close: () => {
      controller.abort();
    },
  };
}

function traits(): ExportTraits {
  return {
    formats: [
      { name: "history_csv", label: "History (CSV)" },
      { name: "scores_json", label: "Scores (JSON)" },
    ],
  };
}

function request(model: FakeModel<ExportTraits>): string {
  const [message] = model.send.mock.calls.at(-1) ?? [];
  return (message as { request: string }).request;
}

describe("the export group", () => {
  it("has a name, a labelled choice and a button", () => {
    const { el, select, button } = open();
    expect(el.querySelector("[role=group]")?.getAttribute("aria-label")).toBe("Export");
    expect(select.labels[0]?.textContent).toBe("Export");
    expect([...select.options].map((option) => option.text)).toEqual([
      "History (CSV)",
      "Scores (JSON)",
    ]);
    expect(button.textContent).toBe("Download");
  });

  it("asks for the chosen file and saves what comes, byte by byte", async () => {
    const { model, select, button, status } = open();
    select.value = "scores_json";
    button.click();
    expect(model.send).toHaveBeenCalledWith({
      type: "export",
      format: "scores_json",
      request: request(model),
    });
    expect(status()).toBe("Making the file …");

    const whole = new Uint8Array([9, 1, 2, 255, 9]);
    const answer = {
      type: "file",
      request: request(model),
      name: "s.json",
      mime: "application/json",
    };
    model.receive(answer, [new DataView(whole.buffer, 1, 3)]);
    expect(await Promise.all(saved)).toEqual([
      { name: "s.json", type: "application/json", bytes: [1, 2, 255] },
    ]);
    expect(status()).toBe("s.json was handed to the browser.");
  });

  it("asks once, however often it is pressed meanwhile", () => {
    const { model, button } = open();
    button.focus();
    button.click();
    button.click();
    expect(model.send).toHaveBeenCalledOnce();
    expect(document.activeElement).toBe(button);
    model.receive({ type: "problem", request: request(model), text: "no" });
    button.click();
    expect(model.send).toHaveBeenCalledTimes(2);
  });

  it("says what the problem was", () => {
    const { model, button, status } = open();
    button.click();
    model.receive({ type: "problem", request: request(model), text: "There is nothing yet." });
    expect(status()).toBe("There is nothing yet.");
    expect(saved).toEqual([]);
  });

  it("saves nothing that another view asked for", () => {
    const first = open();
    const second = open(first.model);
    first.button.click();
    const file = { type: "file", request: request(first.model), name: "a", mime: "text/csv" };
    first.model.receive(file, [new DataView(new ArrayBuffer(1))]);
    expect(saved).toHaveLength(1);
    expect(second.status()).toBe("");
  });

  it("leaves nothing behind when it is closed", () => {
    const { model, el, close } = open();
    expect(model.listenerCount).toBeGreaterThan(0);
    close();
    expect(model.listenerCount).toBe(0);
    expect(el.childElementCount).toBe(0);
  });
});

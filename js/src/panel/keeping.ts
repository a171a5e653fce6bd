import { h, uniquePrefix } from "../shared/dom";

/** Saves everything into a folder, from which `SubnetworkProbingWidget.load` brings it back. */
export function createKeeping(save: (folder: string) => void): HTMLElement {
  const folder = h("input", {
    type: "text",
    id: `${uniquePrefix()}-folder`,
    class: "sp-input sp-folder",
    placeholder: "runs/ioi",
    autocomplete: "off",
    spellcheck: "false",
  });
  const button = h("button", { type: "button", class: "sp-button" }, "Save");
  const go = (): void => {
    const path = folder.value.trim();
    if (path) save(path);
    else folder.focus();
  };
  button.addEventListener("click", go);
  folder.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go();
  });
  return h(
    "div",
    { class: "sp-row", role: "group", "aria-label": "Save" },
    h("label", { for: folder.id, class: "sp-label" }, "Save into folder"),
    folder,
    button,
  );
}

/** Shows what circuits predict after the prompts that were recorded when the page was written. */

import type { AnyModel } from "@anywidget/types";

import { counted } from "../circuit/format";
import type { CircuitTraits } from "../circuit/model";
import type { RecordedCircuit, RecordedPrompts } from "../generated/page";
import { createList } from "../prompts/list";
import { createStrip, edgesOf } from "../prompts/strip";
import { h, setText, uniquePrefix } from "../shared/dom";
import { observe } from "../shared/observe";

/** Shows them in `place`, at the size of the circuit view, until `signal` aborts. */
export function showPrompts(
  recorded: RecordedPrompts,
  circuit: AnyModel<CircuitTraits>,
  place: HTMLElement,
  signal: AbortSignal,
): void {
  const note = h("p", { class: "spp-note" });
  const root = h(
    "div",
    { class: "sp-prompts", role: "region", "aria-label": "Prompts" },
    h("h2", {}, "Prompts"),
    note,
  );
  place.append(root);
  const [worst] = recorded.prompts;
  if (!worst) {
    setText(note, recorded.note);
    return;
  }
  let chosen = worst;
  const list = createList(uniquePrefix(), (at) => {
    chosen = recorded.prompts.find((each) => each.place === at) ?? worst;
    show();
  });
  const strip = createStrip();
  root.append(
    h("div", { class: "spp-top" }, list.element, h("div", { class: "spp-pair" }, strip.element)),
  );

  const show = (): void => {
    const { loss, list_note, in_common, prompts } = recorded;
    const { tokens, whole_model, corrupt_run, circuits, edited, n_left_out } = chosen;
    list.show({ prompts, loss, list_note, in_common, chosen: chosen.place });
    const size = circuit.get("n_edges");
    const switches = circuit.get("switches");
    const asRecorded = size === recorded.n_edges && same(switches, recorded.switches);
    const shown = edited && asRecorded ? edited : nearest(circuits, size);
    strip.show(
      shown && {
        tokens,
        whole_model,
        circuit: shown.predictions,
        corrupt_run,
        kl_div: shown.kl_div,
        n_edges: shown.n_edges,
        n_switched: shown.n_switched,
      },
    );
    const edges = shown ? edgesOf(shown) : "";
    const notes = [
      shown === edited || shown?.n_edges === size
        ? `Recorded with ${edges}, as many as in the circuit view.`
        : `Recorded with ${edges}, the size nearest to the slider of those that were recorded.`,
      switches.length > 0 && shown !== edited ? "Nothing that is switched by hand is in it." : "",
      n_left_out ? `The first ${counted(n_left_out, "token")} are left out.` : "",
    ];
    setText(note, notes.filter(Boolean).join(" "));
  };
  observe(circuit, ["n_edges", "switches"], show, signal);
}

function same(switches: readonly string[], others: readonly string[]): boolean {
  return switches.length === others.length && switches.every((each, at) => each === others[at]);
}

/** The circuit whose size is the nearest on the slider, which is logarithmic. */
export function nearest(
  circuits: readonly RecordedCircuit[],
  size: number | null,
): RecordedCircuit | null {
  const from = (each: RecordedCircuit): number =>
    Math.abs(Math.log1p(each.n_edges) - Math.log1p(size ?? 0));
  return circuits.reduce<RecordedCircuit | null>(
    (best, each) => (best === null || from(each) < from(best) ? each : best),
    null,
  );
}

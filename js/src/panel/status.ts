import { h, setAttribute, setText } from "../shared/dom";
import { formatCount, formatDuration, formatLoss } from "./format";
import type { Status } from "./model";

const UNKNOWN = "–";

/** The numbers of the status line, in order. */
const FACTS: readonly { label: string; more?: string; read: (status: Status) => string }[] = [
  { label: "step", read: (s) => outOf(s.step, s.n_steps) },
  { label: "epoch", read: (s) => outOf(s.epoch, s.epochs) },
  { label: "loss", read: (s) => (s.loss === null ? UNKNOWN : formatLoss(s.loss)) },
  {
    label: "edges",
    more: "in the circuit",
    read: (s) => (s.edges === null ? UNKNOWN : outOf(s.edges, s.n_edges)),
  },
  {
    label: "time left",
    read: (s) => (s.seconds_left === null ? UNKNOWN : formatDuration(s.seconds_left)),
  },
  { label: "threads", read: (s) => (s.threads === null ? UNKNOWN : formatCount(s.threads)) },
];

function outOf(count: number, total: number): string {
  return total > 0 ? `${formatCount(count)} of ${formatCount(total)}` : formatCount(count);
}

export interface StatusView {
  /** The state, the numbers and a sentence. */
  line: HTMLElement;
  progress: HTMLElement;
  alert: HTMLElement;
  update(status: Status): void;
}

/** The status line, the progress bar and, after a failure, the error. */
export function createStatus(): StatusView {
  const state = h("span", { class: "sp-state" });
  const facts = FACTS.map(({ label, more, read }) => ({
    label,
    ...(more === undefined ? {} : { more }),
    read,
    value: h("span", { class: "sp-fact-value" }),
  }));
  const message = h("p", { class: "sp-message" });
  const line = h(
    "div",
    { class: "sp-status", role: "status" },
    h(
      "div",
      { class: "sp-line" },
      state,
      h(
        "div",
        // The numbers change ten times a second: they are read out together with a change of
        // state or a message, and otherwise only when the person asks for them.
        { class: "sp-facts", "aria-live": "off" },
        ...facts.map(({ label, more = "", value }) =>
          h(
            "span",
            { class: `sp-fact sp-fact-${label.replace(" ", "-")}` },
            h("span", { class: "sp-hidden" }, ", "),
            h(
              "span",
              { class: "sp-fact-label" },
              label,
              ...(more ? [h("span", { class: "sp-hidden" }, ` ${more}`)] : []),
            ),
            " ",
            value,
          ),
        ),
      ),
    ),
    message,
  );

  const bar = h("div", { class: "sp-bar" });
  const track = h(
    "div",
    {
      class: "sp-progress",
      role: "progressbar",
      "aria-valuemin": "0",
      "aria-valuemax": "100",
    },
    bar,
  );
  const progressText = h("span", { class: "sp-progress-text", "aria-hidden": "true" });
  const alert = h("div", { class: "sp-alert", role: "alert" });

  return {
    line,
    progress: h("div", { class: "sp-progress-row" }, track, progressText),
    alert,
    update(status) {
      const failed = status.state === "failed";
      setText(state, status.state);
      for (const { value, read } of facts) setText(value, read(status));
      setText(message, failed ? "" : status.message);
      setText(alert, failed ? status.message || "The training failed." : "");

      const percent = Math.min(100, Math.max(0, status.progress * 100));
      const text = status.progress_label || `${Math.floor(percent)} %`;
      bar.style.width = `${percent}%`;
      setText(progressText, text);
      setAttribute(
        track,
        "aria-label",
        status.state === "preparing" ? "Progress of the preparation" : "Progress of the training",
      );
      setAttribute(track, "aria-valuenow", percent.toFixed(1).replace(/\.0$/, ""));
      setAttribute(track, "aria-valuetext", text);
    },
  };
}

import { createAvailability } from "../shared/availability";
import { h } from "../shared/dom";
import { icon } from "./icons";
import type { Command, State } from "./model";

const BUTTONS: readonly { command: Command; label: string }[] = [
  { command: "start", label: "Start" },
  { command: "pause", label: "Pause" },
  { command: "resume", label: "Resume" },
  { command: "stop", label: "Stop" },
  { command: "step", label: "Step" },
  { command: "reset", label: "Reset" },
];

/** What can be asked for in each state; the first one is what most people want next. */
export const COMMANDS_IN: Record<State, readonly Command[]> = {
  idle: ["start", "step"],
  preparing: ["pause", "stop"],
  running: ["pause", "stop"],
  paused: ["resume", "step", "stop", "reset"],
  stopping: [],
  done: ["reset"],
  stopped: ["reset"],
  failed: ["reset"],
};

export interface Controls {
  element: HTMLElement;
  update(state: State): void;
  /** Brings the keyboard to the first button that can be pressed. */
  focus(): void;
}

/** The row of buttons. */
export function createControls(send: (command: Command) => void): Controls {
  const buttons = BUTTONS.map(({ command, label }) => {
    const button = h("button", { type: "button", class: "sp-button" }, icon(command), label);
    const availability = createAvailability(button);
    button.addEventListener("click", () => {
      if (availability.available) send(command);
    });
    return { command, button, availability };
  });

  return {
    element: h(
      "div",
      { class: "sp-buttons", role: "group", "aria-label": "Training" },
      ...buttons.map(({ button }) => button),
    ),
    focus() {
      buttons.find(({ availability }) => availability.available)?.button.focus();
    },
    update(state) {
      const commands = COMMANDS_IN[state];
      for (const { command, button, availability } of buttons) {
        availability.set(commands.includes(command));
        button.classList.toggle(
          "sp-button-primary",
          command === commands[0] && (command === "start" || command === "resume"),
        );
      }
    },
  };
}

import { hasFocus, setAttribute } from "./dom";

type Control = HTMLButtonElement | HTMLInputElement | HTMLSelectElement;

export interface Availability {
  readonly available: boolean;
  set(available: boolean): void;
}

/**
 * Enables and disables a control without throwing the keyboard out of it: disabling a focused
 * control would drop the focus to the page, so it is only marked as disabled until it is left.
 * Handlers must therefore look at `available`.
 */
export function createAvailability(control: Control): Availability {
  let available = true;

  const apply = (): void => {
    const held = !available && hasFocus(control);
    control.disabled = !available && !held;
    setAttribute(control, "aria-disabled", held ? "true" : false);
    if (control instanceof HTMLInputElement) control.readOnly = held;
  };
  // Also fires when the whole window loses the focus; then the control is still the active one.
  control.addEventListener("blur", apply);

  return {
    get available() {
      return available;
    },
    set(next) {
      if (next === available) return;
      available = next;
      apply();
    },
  };
}

"""The widget as a person finds it on the page: by roles, names and what it says."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

SOON = 60_000
"""Milliseconds for what a person expects at once, on a busy machine; every `expect` has them."""
TAKES_EFFECT = 1.0
"""Seconds from the press of a button to its effect in the status line, at most."""
TRAINING = 240_000
"""Milliseconds for a whole training."""

# Measured inside the page, from the click itself to the change of the text: no time of the test's
# own machinery is in it.
_WATCH = """
(region, [command, state]) => {
  const buttons = [...region.querySelectorAll("button")];
  const button = buttons.find((each) => each.textContent.trim() === command);
  const status = region.querySelector("[role=status]");
  const took = new Promise((resolve) => {
    button.addEventListener("click", () => {
      const pressed = performance.now();
      const look = () => {
        if (!status.textContent.startsWith(state)) return;
        observer.disconnect();
        resolve((performance.now() - pressed) / 1000);
      };
      const observer = new MutationObserver(look);
      observer.observe(status, { subtree: true, childList: true, characterData: true });
    }, { once: true });
  });
  const forever = new Promise((resolve) => setTimeout(() => resolve(60), 60000));
  window.spTook = Promise.race([took, forever]);
}
"""

_RECORD_STATES = """
(region) => {
  const status = region.querySelector("[role=status]");
  const progress = region.querySelector("[role=progressbar]");
  window.spStates = [];
  const look = () => {
    const seen = [status.textContent.split(",")[0].trim(), progress.getAttribute("aria-label")];
    if (window.spStates.at(-1)?.[0] !== seen[0]) window.spStates.push(seen);
  };
  look();
  new MutationObserver(look).observe(region, { subtree: true, childList: true });
}
"""

_CHART_CHANGED = """
([chart, before]) => {
  const now = [...chart.querySelectorAll("path.line")].map((path) => path.getAttribute("d"));
  return now.some((path, index) => path && path !== before[index]);
}
"""


class Panel:
    """One view of the widget, inside the output of a cell."""

    def __init__(self, output: Locator) -> None:
        self.page = output.page
        self.output = output
        self.region = output.get_by_role("region", name="Subnetwork Probing")
        self.status = self.region.get_by_role("status")
        self.alert = self.region.get_by_role("alert")
        self.progress = self.region.get_by_role("progressbar")
        self.chart = output.locator(".sp-chart")
        self.figure = self.chart.locator(".bqplot.figure")

    def button(self, name: str) -> Locator:
        return self.region.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        self.button(name).click()

    def seconds_to_take_effect(self, name: str, state: str) -> float:
        """Press a button; returns the seconds until the status says `state`."""
        self.region.evaluate(_WATCH, [name, state])
        self.press(name)
        return float(self.page.evaluate("window.spTook"))

    def record_states(self) -> None:
        """From now on keep in mind what the status and the progress bar say."""
        self.region.evaluate(_RECORD_STATES)

    def recorded_states(self) -> list[tuple[str, str]]:
        """State and name of the progress bar, each time the state was another."""
        return [(state, name) for state, name in self.page.evaluate("window.spStates")]

    def unfold(self, title: str) -> None:
        """Open a part of the panel that is folded away."""
        self.region.locator("summary", has_text=re.compile(rf"^{title}")).click()

    def open_tab(self, name: str) -> None:
        """Bring the content of a tab into view."""
        self.region.get_by_role("tab", name=re.compile(rf"^{name}")).click()

    def field(self, label: str) -> Locator:
        return self.region.get_by_label(label, exact=True)

    def enter(self, label: str, text: str) -> None:
        """Type into a field and move on."""
        self.field(label).fill(text)
        self.field(label).press("Tab")

    def problem(self, label: str) -> Locator:
        """The explanation beside a field."""
        described_by = self.field(label).get_attribute("aria-describedby") or ""
        return self.region.locator(f"[id='{described_by.split()[0]}']")

    def expect_buttons(self, *available: str) -> None:
        """Exactly these buttons can be pressed."""
        for name in ("Start", "Pause", "Resume", "Stop", "Step", "Reset"):
            expect(self.button(name)).to_be_enabled(enabled=name in available)

    def expect_state(self, state: str, timeout: float = SOON) -> None:
        expect(self.status).to_have_text(re.compile(rf"^{state}, "), timeout=timeout)

    def expect_step(self, step: int) -> None:
        expect(self.status).to_contain_text(f"step {step} of ")

    def expect_steps_beyond(self, step: int, timeout: float = SOON) -> None:
        """The count goes on."""
        self.page.wait_for_function(
            "([status, step]) => Number(/step ([0-9,]+)/.exec(status.textContent)[1]"
            ".replaceAll(',', '')) > step",
            arg=[self.status.element_handle(), step],
            timeout=timeout,
        )

    @property
    def step(self) -> int:
        return self._figure(r"step ([\d,]+) of")

    @property
    def n_steps(self) -> int:
        return self._figure(r"step [\d,]+ of ([\d,]+)")

    @property
    def edges(self) -> int:
        return self._figure(r"edges in the circuit ([\d,]+) of")

    def lines(self) -> list[str]:
        """The path data of the lines that are drawn, in the order of the legend."""
        paths = self.chart.locator("path.line")
        found: list[Any] = paths.evaluate_all("all => all.map(path => path.getAttribute('d'))")
        return [path or "" for path in found]

    def expect_chart_to_change(self, before: list[str], timeout: float = SOON) -> None:
        self.page.wait_for_function(
            _CHART_CHANGED, arg=[self.chart.element_handle(), before], timeout=timeout
        )

    def expect_chart_to_be_empty(self) -> None:
        self.page.wait_for_function(
            "chart => [...chart.querySelectorAll('path.line')]"
            ".every(path => !path.getAttribute('d'))",
            arg=self.chart.element_handle(),
            timeout=SOON,
        )

    def _figure(self, pattern: str) -> int:
        text = self.status.text_content() or ""
        match = re.search(pattern, text)
        assert match, text
        return int(match[1].replace(",", ""))

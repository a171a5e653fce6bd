"""An automated check of the widget in the page with axe-core, state by state, in both themes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.panel import SOON, Panel
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

_FITS = """
(output) => {
  const { right } = output.querySelector(".sp-panel").getBoundingClientRect();
  const parts = [...output.querySelectorAll(".sp-panel *, .sp-chart *")]
    // What only a screen reader sees has no width to speak of.
    .filter((part) => !part.closest(".sp-hidden, .spx-hidden, .sp-chart-summary"));
  const rightmost = Math.max(...parts.map((part) => part.getBoundingClientRect().right));
  const chart = output.querySelector(".sp-chart").getBoundingClientRect();
  const plot = output.querySelector(".spx-plot").getBoundingClientRect();
  return rightmost < right + 1 && plot.right > chart.right - 20;
}
"""

BESIDE_THE_OUTPUT = 432
"""Pixels of the window that JupyterLab needs for itself."""


def violations_in_both_themes(workbench: Workbench, panel: Panel) -> list[dict[str, Any]]:
    workbench.notebook.use_theme("dark")
    found = violations(panel)
    workbench.notebook.use_theme("light")
    return found + violations(panel)


def test_no_violation_in_any_state(workbench: Workbench, photograph: Photograph) -> None:
    panel = workbench.new_panel(epochs=200)
    assert violations_in_both_themes(workbench, panel) == []

    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(10)
    assert violations_in_both_themes(workbench, panel) == []
    panel.press("Pause")
    panel.expect_state("paused")
    panel.enter("Lambda", "abc")
    expect(panel.problem("Lambda")).to_contain_text("number")
    assert violations_in_both_themes(workbench, panel) == []

    workbench.notebook.evaluate("taken = 1")
    panel.enter("Save scores as", "taken")
    panel.press("Stop")
    panel.expect_state("stopped")
    expect(panel.button("Overwrite")).to_be_visible()
    assert violations_in_both_themes(workbench, panel) == []
    panel.region.scroll_into_view_if_needed()
    photograph(panel.page, "stopped-with-a-question-light")
    workbench.notebook.use_theme("dark")
    photograph(panel.page, "stopped-with-a-question-dark")


def test_everything_fits_into_outputs_of_any_width(
    workbench: Workbench, photograph: Photograph
) -> None:
    panel = workbench.new_panel(loader="task.train_loader, task.test_loader", epochs=200)
    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(20)
    panel.press("Pause")
    panel.expect_state("paused")
    panel.enter("Lambda", "abc")
    expect(panel.problem("Lambda")).to_be_visible()
    for width in (420, 640, 1000):
        # While it is on the page: the chart has to follow.
        panel.page.set_viewport_size({"width": width + BESIDE_THE_OUTPUT, "height": 1100})
        box = panel.region.bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(width, abs=5)
        # A chart that is out of sight is laid out anew when it comes into view.
        panel.chart.scroll_into_view_if_needed()
        # Nothing is cut off, and the chart takes the room that there is.
        panel.page.wait_for_function(_FITS, arg=panel.output.element_handle(), timeout=SOON)
        photograph(panel.page, f"width-{width}")
    # Chart and circuit side by side: of the chart two thirds at least are the plot.
    chart, plot = panel.chart.bounding_box(), panel.chart.locator(".spx-plot").bounding_box()
    assert chart
    assert plot
    assert plot["width"] * plot["height"] > 2 / 3 * chart["width"] * chart["height"]

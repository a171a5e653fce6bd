"""The whole widget as people set up their screens: high contrast, large letters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.panel import Panel
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

_SPILLS = """
(output) => {
  const widget = output.querySelector(".sp-panel").closest(".widget-vbox");
  const { right } = widget.getBoundingClientRect();
  const seen = [...widget.querySelectorAll("button, input, select, p, label, h3, summary")]
    // What scrolls on its own may be wider, and what only a screen reader sees has no width.
    .filter((each) => each.checkVisibility() && !each.closest(".spc-scroller, .sp-hidden"));
  return seen
    .filter((each) => each.getBoundingClientRect().right > right + 1)
    .map((each) => each.outerHTML.slice(0, 120));
}
"""

_MOVES = """
(output) => document.getAnimations()
  .filter((each) => each.playState === "running" && output.contains(each.effect.target))
  .map((each) => each.effect.target.outerHTML.slice(0, 120))
"""

_UNSEEN = """
(output) => [...output.querySelectorAll(".sp-panel button, .sp-export button, .spc-controls input")]
  .filter((each) => each.checkVisibility())
  .filter((each) => {
    const { borderStyle, outlineStyle, appearance } = getComputedStyle(each);
    return borderStyle === "none" && outlineStyle === "none" && appearance === "none";
  })
  .map((each) => each.outerHTML.slice(0, 120))
"""


@pytest.fixture
def ended(workbench: Workbench) -> Iterator[Panel]:
    """A widget after a run; the screen is an ordinary one again afterwards."""
    panel = workbench.new_panel(loader="task.train_loader, task.test_loader", epochs=3)
    panel.press("Start")
    panel.expect_state("done")
    yield panel
    workbench.page.emulate_media(forced_colors="none")


def test_in_high_contrast_every_control_has_an_edge_and_nothing_is_violated(
    ended: Panel, photograph: Photograph
) -> None:
    ended.page.emulate_media(forced_colors="active")
    assert ended.output.evaluate(_UNSEEN) == []
    assert violations(ended) == []
    ended.region.scroll_into_view_if_needed()
    photograph(ended.page, "high-contrast-panel")
    ended.output.locator(".sp-tabs").scroll_into_view_if_needed()
    photograph(ended.page, "high-contrast-circuit")


def test_at_twice_the_size_everything_fits(ended: Panel, photograph: Photograph) -> None:
    # A window of 1,920 by 1,100 pixels at 200 % has as much room as one of half that.
    ended.page.set_viewport_size({"width": 960, "height": 550})
    assert ended.output.evaluate(_SPILLS) == []
    assert violations(ended) == []
    ended.region.scroll_into_view_if_needed()
    photograph(ended.page, "zoom-200-panel")
    ended.output.locator(".sp-tabs").scroll_into_view_if_needed()
    photograph(ended.page, "zoom-200-circuit")


def test_nothing_is_animated_while_a_run_is_under_way(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=200)
    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(10)
    assert panel.output.evaluate(_MOVES) == []
    panel.press("Stop")
    panel.expect_state("stopped")
    workbench.page.emulate_media(reduced_motion="no-preference")

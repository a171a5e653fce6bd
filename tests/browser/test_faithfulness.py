"""The faithfulness view: the curve of a run, and the size that it and the circuit view share."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Photograph
from tests.browser.panel import TRAINING
from tests.browser.workbench import N_EDGES, Workbench

pytestmark = pytest.mark.browser


def test_the_curve_comes_with_the_end_of_a_run_and_a_click_sets_the_slider(
    workbench: Workbench, photograph: Photograph
) -> None:
    panel = workbench.new_panel(epochs=1)
    panel.open_tab("Faithfulness")
    view = panel.output.get_by_role("region", name="Faithfulness")
    expect(view).to_contain_text("A run is measured when it ends")
    panel.press("Start")
    panel.expect_state("done", timeout=TRAINING)
    lines = view.locator(".spf-line")
    expect(lines).to_have_count(2, timeout=TRAINING)
    expect(view.locator(".spf-legend")).to_contain_text("Random circuits")

    plot = view.get_by_role("slider")
    box = plot.bounding_box()
    assert box is not None
    plot.click(position={"x": box["width"] * 0.6, "y": box["height"] * 0.4})
    marked = int(plot.get_attribute("aria-valuenow") or 0)
    assert 1 < marked < N_EDGES
    number = panel.output.get_by_role("spinbutton", name="Number of edges")
    expect(number).to_have_value(str(marked))
    number.fill("33")
    expect(plot).to_have_attribute("aria-valuenow", "33")
    plot.press("ArrowRight")
    expect(number).to_have_value("34")

    panel.press("Reset")
    expect(view.locator(".spf-entry").first).to_have_text("Run 1")
    panel.press("Start")
    panel.expect_state("done", timeout=TRAINING)
    expect(lines).to_have_count(3, timeout=TRAINING)
    colours = [lines.nth(index).get_attribute("stroke") for index in range(3)]
    assert colours[0] != colours[1] == colours[2]
    expect(view.get_by_role("status")).to_have_text("")

    for theme in ("light", "dark"):
        workbench.notebook.use_theme(theme)
        for width in (1280, 620):
            workbench.page.set_viewport_size({"width": width, "height": 1100})
            view.scroll_into_view_if_needed()
            inside = view.bounding_box()
            drawn = plot.locator("svg").bounding_box()
            assert inside is not None
            assert drawn is not None
            assert drawn["width"] <= inside["width"]
            photograph(workbench.page, f"faithfulness-{theme}-{width}")
    expect(view).to_have_text(re.compile("KL"))

"""Another method is chosen in the panel: its fields, its chart and its code follow."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Photograph
from tests.browser.panel import TRAINING
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser


def test_another_method_is_chosen_run_and_written_as_code(
    workbench: Workbench, photograph: Photograph
) -> None:
    panel = workbench.new_panel(epochs=3)
    method = panel.field("Method")
    expect(method).to_have_value("subnetwork_probing")
    expect(panel.region.locator(".sp-method-summary")).to_contain_text("mask")
    expect(panel.field("Lambda")).to_be_visible()
    expect(panel.field("Preset")).to_be_visible()
    panel.unfold("What the methods are for")
    expect(panel.region.get_by_text("Removes edge after edge")).to_be_visible()

    method.select_option(label="Edge Pruning")
    expect(panel.field("Lambda")).to_have_count(0)
    expect(panel.field("Preset")).to_be_hidden()
    expect(panel.region.locator(".sp-method-summary")).to_contain_text("exactly the size")
    panel.enter("Epochs", "20")
    panel.enter("Circuit size", "60")
    expect(panel.field("Circuit size")).to_have_value("60")
    photograph(workbench.page, "method")

    before = panel.lines()
    panel.press("Start")
    panel.expect_state("running")
    expect(method).to_be_disabled()
    panel.expect_chart_to_change(before)
    panel.expect_state("done", timeout=TRAINING)
    assert panel.edges == 60
    legend = panel.chart.get_by_text("Constraint", exact=True)
    expect(legend.first).to_be_visible()
    expect(method).to_be_disabled()
    expect(panel.region.locator(".sp-method-summary")).to_contain_text("Reset the run")
    panel.open_tab("Code")
    code = panel.field("Python code of this run")
    expect(code).to_have_value(
        re.compile(r"sp\.methods\.get\('edge_pruning'\).*circuit_size=60,", re.DOTALL)
    )
    panel.open_tab("Settings")

    panel.press("Reset")
    expect(method).to_be_enabled()
    method.select_option(label="Subnetwork probing")
    expect(panel.field("Lambda")).to_be_visible()
    expect(panel.field("Epochs")).to_have_value("3")
    since = panel.region.get_by_text("since Run 1: Edge Pruning → Subnetwork probing")
    expect(since).to_have_count(1)

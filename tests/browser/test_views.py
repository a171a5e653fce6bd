"""The same widget after a reload of the page, and shown twice."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser


def test_a_second_view_shows_the_same_and_each_steers_both(workbench: Workbench) -> None:
    first = workbench.new_panel(epochs=200)
    first.press("Start")
    first.expect_state("running", timeout=60_000)
    first.expect_steps_beyond(2)

    cell = workbench.notebook.append_and_begin("probe")
    second = workbench.panel_in(cell)
    second.expect_state("running")
    second.expect_buttons("Pause", "Stop")
    second.expect_chart_to_change([""] * 4)

    second.press("Pause")
    second.expect_state("paused")
    first.expect_state("paused")
    first.expect_buttons("Resume", "Step", "Stop", "Reset")
    assert first.status.text_content() == second.status.text_content()
    assert first.field("Lambda").input_value() == second.field("Lambda").input_value()

    first.enter("Lambda", "7")
    expect(second.field("Lambda")).to_have_value("7")
    second.enter("Save scores as", "two words")
    expect(first.problem("Save scores as")).to_contain_text("got 'two words'")
    second.enter("Save scores as", "scores")
    expect(first.problem("Save scores as")).to_have_text("")

    first.press("Stop")
    second.expect_state("stopped")
    expect(second.status).to_contain_text("The scores are in the variable scores.")


def test_after_a_reload_of_the_page_everything_is_back_and_works(workbench: Workbench) -> None:
    notebook = workbench.notebook
    panel = workbench.new_panel(epochs=400)
    panel.press("Start")
    panel.expect_state("running", timeout=60_000)
    panel.enter("Lambda", "0.5")
    panel.enter("Save scores as", "after_reload")
    panel.expect_steps_beyond(3)
    steps = panel.step
    notebook.save()

    notebook.open()
    expect(panel.region).to_be_visible(timeout=60_000)
    panel.expect_state("running")
    panel.expect_steps_beyond(steps)
    panel.expect_buttons("Pause", "Stop")
    expect(panel.field("Lambda")).to_have_value("0.5")
    expect(panel.field("Save scores as")).to_have_value("after_reload")
    lines = panel.lines()
    assert any(lines), "the chart is drawn again"
    panel.expect_chart_to_change(lines)

    panel.press("Pause")
    panel.expect_state("paused")
    panel.press("Step")
    panel.expect_steps_beyond(panel.step)
    panel.enter("Lambda", "abc")
    expect(panel.problem("Lambda")).to_contain_text("number")
    panel.press("Stop")
    panel.expect_state("stopped")
    expect(panel.status).to_contain_text("The scores are in the variable after_reload.")

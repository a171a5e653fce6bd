"""The same widget after a reload of the page, and shown twice."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser


def test_a_second_view_shows_the_same_and_each_steers_both(workbench: Workbench) -> None:
    first = workbench.new_panel(epochs=200)
    first.press("Start")
    first.expect_state("running")
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
    panel.expect_state("running")
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


def test_what_was_chosen_in_the_circuit_is_in_every_view_and_there_after_a_reload(
    workbench: Workbench,
) -> None:
    notebook = workbench.notebook
    notebook.evaluate("import time")
    panel = workbench.new_panel(epochs=2)
    panel.press("Start")
    panel.expect_state("done")
    circuit = panel.output.get_by_role("region", name="Circuit", exact=True)
    circuit.get_by_label("Number of edges").fill("12")
    circuit.get_by_label("Find", exact=True).fill("MLP 2")
    circuit.get_by_label("Find", exact=True).press("Enter")
    pinned = re.compile("^MLP 2, ")
    expect(circuit.get_by_role("button", name=pinned, pressed=True)).to_be_visible()

    second = workbench.panel_in(notebook.append_and_begin("probe")).output
    other = second.get_by_role("region", name="Circuit", exact=True)
    expect(other.get_by_label("Number of edges")).to_have_value("12")
    expect(other.get_by_role("button", name=pinned, pressed=True)).to_be_visible()
    other.get_by_label("Number of edges").fill("15")
    expect(circuit.get_by_label("Number of edges")).to_have_value("15")
    # While a slider moves, the kernel learns of it only where it rests.
    assert notebook.evaluate("time.sleep(1)\nprint(probe.circuit.n_edges)") == "15"

    notebook.save()
    notebook.open()
    expect(circuit.get_by_label("Number of edges")).to_have_value("15")
    expect(circuit.get_by_role("button", name=pinned, pressed=True)).to_be_visible()
    expect(circuit.get_by_text("15 edges as text")).to_be_visible()

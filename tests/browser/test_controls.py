"""What Step, Stop and Reset do, seen from the page and from a cell."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel import TAKES_EFFECT
from tests.browser.workbench import N_BATCHES, N_EDGES, Workbench

pytestmark = pytest.mark.browser


def test_step_makes_one_step_then_another_and_resume_goes_on(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=200)
    expect(panel.status).to_contain_text(f"step 0 of {200 * N_BATCHES:,}")

    panel.press("Step")
    panel.expect_state("paused")
    panel.expect_step(1)
    panel.expect_buttons("Resume", "Step", "Stop", "Reset")
    assert workbench.notebook.evaluate("print(len(probe.history))") == "1"

    panel.press("Step")
    panel.expect_step(2)
    panel.expect_state("paused")

    panel.press("Resume")
    panel.expect_state("running")
    panel.expect_steps_beyond(4)


def test_pause_does_not_wait_for_a_cell_when_a_cell_started_the_training(
    workbench: Workbench,
) -> None:
    """What a cell publishes would make ipykernel send the clicks to the busy main thread."""
    notebook = workbench.notebook
    panel = workbench.new_panel(epochs=200)
    notebook.evaluate("probe.start()")
    panel.expect_state("running")
    panel.expect_steps_beyond(2)
    sleeping = notebook.append_and_begin("import time\ntime.sleep(4)")
    expect(notebook.prompt(sleeping)).to_have_text("[*]:")
    assert panel.seconds_to_take_effect("Pause", "paused") < TAKES_EFFECT
    assert notebook.is_running(sleeping)
    assert panel.seconds_to_take_effect("Resume", "running") < TAKES_EFFECT
    assert notebook.is_running(sleeping)
    notebook.finish(sleeping)


def test_stop_keeps_the_scores_and_reset_goes_back_to_idle(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=200, save_as="stopped_scores")
    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(3)

    panel.press("Stop")
    panel.expect_state("stopped")
    panel.expect_buttons("Reset")
    expect(panel.status).to_contain_text("The scores are in the variable stopped_scores.")
    steps = panel.step
    assert 3 < steps < 200 * N_BATCHES
    count = "print(sum(scores.numel() for scores in stopped_scores.values()))"
    assert workbench.notebook.evaluate(count) == str(N_EDGES)
    assert workbench.notebook.evaluate("print(len(probe.history))") == str(steps)

    drawn = panel.lines()
    assert any(drawn)
    panel.press("Reset")
    panel.expect_state("idle")
    panel.expect_buttons("Start", "Step")
    panel.expect_step(0)
    expect(panel.progress).to_have_attribute("aria-valuenow", "0")
    # The run that was reset stays in the chart until it is hidden there.
    panel.open_tab("Runs")
    panel.region.get_by_label("Show Run 1 in the chart").click()
    panel.expect_chart_to_be_empty()
    assert workbench.notebook.evaluate("print(probe.history)") == "[]"
    assert workbench.notebook.evaluate(count) == str(N_EDGES), "what was saved stays"

    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(1)

"""A training that comes to numbers that are none."""

from __future__ import annotations

import math

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.workbench import BROKEN_LOADER, N_BATCHES, Workbench

pytestmark = pytest.mark.browser


def test_a_failure_shows_its_message_keeps_the_history_and_is_raised_by_wait(
    workbench: Workbench, photograph: Photograph
) -> None:
    notebook = workbench.notebook
    assert notebook.evaluate(BROKEN_LOADER) == str(N_BATCHES)
    panel = workbench.new_panel(
        loader="broken_loader", faithfulness_target="mse", save_as="of_the_failed_run"
    )
    panel.press("Start")
    panel.expect_state("failed")
    panel.expect_buttons("Reset")
    expect(panel.alert).to_be_visible()
    expect(panel.alert).to_contain_text("NonFiniteLossError")
    assert violations(panel) == []
    panel.region.scroll_into_view_if_needed()
    photograph(panel.page, "failed")

    # The bad answer is in the last batch: every step before it was good, and is kept.
    panel.expect_step(N_BATCHES - 1)
    assert notebook.evaluate("print(len(probe.history))") == str(N_BATCHES - 1)
    losses = notebook.evaluate("print(*(record.loss for record in probe.history))").split()
    assert all(math.isfinite(float(loss)) for loss in losses)
    finite = "all(bool(s.isfinite().all()) for s in probe.prune_scores.values())"
    assert notebook.evaluate(f"print({finite})") == "True"
    assert any(panel.lines())
    raised = notebook.evaluate("probe.wait()")
    assert "NonFiniteLossError" in raised
    assert "NameError" in notebook.evaluate("of_the_failed_run")

    panel.press("Reset")
    panel.expect_state("idle")
    expect(panel.alert).to_be_hidden()

"""Where the scores go: names that cannot be, and names that hold something already."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.panel import Panel
from tests.browser.workbench import N_EDGES, Workbench

pytestmark = pytest.mark.browser

FIELD = "Save scores as"


def test_a_name_that_cannot_be_is_explained_and_nothing_starts(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=1)
    reasons = {"my scores": "letters, digits, _", "class": "keyword", "print": "built into Python"}
    for name, reason in reasons.items():
        panel.enter(FIELD, name)
        expect(panel.problem(FIELD)).to_contain_text(reason)
        expect(panel.problem(FIELD)).to_be_visible()
    panel.press("Start")
    expect(panel.status).to_contain_text("cannot start")
    panel.expect_state("idle")

    panel.enter(FIELD, "mine")
    expect(panel.problem(FIELD)).to_have_text("")


def test_what_a_variable_holds_is_overwritten_only_after_a_yes(workbench: Workbench) -> None:
    notebook = workbench.notebook
    notebook.evaluate("kept = 'my notes'\nlost = [1, 2]")
    panel = workbench.new_panel(epochs=1, save_as="kept")
    panel.press("Start")
    panel.expect_state("done")
    expect(question(panel)).to_be_visible()
    expect(question(panel)).to_contain_text("kept already holds a value (str)")
    assert notebook.evaluate("print(kept)") == "my notes"

    panel.press("Keep")
    expect(question(panel)).to_be_hidden()
    expect(panel.status).to_contain_text("kept was kept")
    assert notebook.evaluate("print(kept)") == "my notes"

    # Scores that have no place yet follow the name.
    panel.enter(FIELD, "lost")
    expect(question(panel)).to_contain_text("lost already holds a value (list)")
    panel.press("Overwrite")
    expect(question(panel)).to_be_hidden()
    expect(panel.status).to_contain_text("The scores are in the variable lost.")
    count = "print(sum(scores.numel() for scores in lost.values()))"
    assert notebook.evaluate(count) == str(N_EDGES)

    # Scores of ours are renewed without a question.
    panel.press("Reset")
    panel.expect_state("idle")
    panel.press("Start")
    panel.expect_state("done")
    expect(panel.status).to_contain_text("The scores are in the variable lost.")
    expect(question(panel)).to_be_hidden()


def question(panel: Panel):  # type: ignore[no-untyped-def]
    return panel.region.locator(".sp-question")

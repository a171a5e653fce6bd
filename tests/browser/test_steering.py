"""Validation, finished runs, presets, code and the circuit, as a person uses them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.panel import TRAINING, Panel
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

HELD_OUT = "task.train_loader, task.test_loader"

SAME = "print(all(torch.equal(a[name], b[name]) for name in a) and a.keys() == b.keys())"


def finish_a_run(panel: Panel) -> None:
    panel.press("Start")
    panel.expect_state("done", timeout=TRAINING)


def height_of(panel: Panel) -> float:
    box = panel.region.bounding_box()
    assert box is not None
    return box["height"]


def test_the_hard_circuit_is_measured_and_the_best_one_restored(workbench: Workbench) -> None:
    panel = workbench.new_panel(loader=HELD_OUT, epochs=4, evaluate_every=None)
    validation = panel.region.get_by_role("group", name="Hard circuit on validation data")
    expect(panel.button("Evaluate now")).to_be_disabled()
    panel.press("Step")
    panel.expect_state("paused")
    panel.press("Evaluate now")
    expect(validation).to_contain_text(", step 1 ")
    # While the circuit is still the whole model, nothing is more faithful.
    panel.enter("Lambda", "0")
    panel.press("Resume")
    panel.expect_state("done", timeout=TRAINING)
    panel.press("Evaluate now")
    expect(validation).to_contain_text(", step 32 ")
    steps = workbench.notebook.evaluate("print([e.step for e in probe.evaluations])")
    assert steps == "[1, 32]"

    panel.press("Restore best")
    expect(panel.status).to_contain_text("The masks are those of step")
    best = "print(probe._session.snapshot().best.step, prune_scores is not None)"
    step = workbench.notebook.evaluate(best).split()[0]
    expect(panel.status).to_contain_text(f"of step {step} again")


def test_without_validation_data_the_panel_says_why_nothing_is_measured(
    workbench: Workbench,
) -> None:
    panel = workbench.new_panel(epochs=4)
    expect(panel.region).to_contain_text("There is no validation data")
    expect(panel.button("Evaluate now")).to_be_disabled()
    panel.unfold("More settings")
    expect(panel.field("Evaluate every")).to_be_disabled()


def test_finished_runs_are_compared_renamed_hidden_and_deleted(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=3)
    finish_a_run(panel)
    panel.press("Reset")
    panel.expect_state("idle")
    panel.enter("Lambda", "10")
    finish_a_run(panel)
    panel.press("Reset")
    panel.expect_state("idle")

    panel.open_tab("Runs")
    rows = panel.region.get_by_role("listitem")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("since Run 1: Lambda 1 → 10")
    expect(panel.chart).to_contain_text("Run 2")
    panel.region.get_by_label("Show Run 2 in the chart").click()
    expect(panel.chart).not_to_contain_text("Run 2")
    panel.region.get_by_label("Name of Run 1").fill("cheap edges")
    panel.region.get_by_label("Name of Run 1").press("Enter")
    expect(panel.chart).to_contain_text("cheap edges")
    n_scores = "print(sum(s.numel() for s in probe.runs[1].prune_scores.values()))"
    assert workbench.notebook.evaluate(n_scores) == "479"

    workbench.notebook.save()
    workbench.notebook.open()
    expect(panel.region).to_be_visible(timeout=60_000)
    panel.open_tab("Runs")
    expect(rows).to_have_count(2)
    expect(panel.region.get_by_label("Name of cheap edges")).to_have_value("cheap edges")
    expect(panel.region.get_by_label("Show Run 2 in the chart")).not_to_be_checked()
    expect(panel.chart).to_contain_text("cheap edges")

    panel.region.get_by_label("Delete cheap edges").click()
    expect(rows).to_have_count(1)
    expect(panel.chart).not_to_contain_text("cheap edges")


def test_the_copied_code_gives_the_same_scores(workbench: Workbench) -> None:
    panel = workbench.new_panel(loader=HELD_OUT, epochs=3, seed=None, save_as="by_panel")
    panel.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    finish_a_run(panel)
    panel.open_tab("Code")
    panel.press("Copy as code")
    expect(panel.region).to_contain_text("Copied.")
    code: str = panel.page.evaluate("navigator.clipboard.readText()")
    shown = panel.region.get_by_label("Python code of this run")
    expect(shown).to_have_value(code)
    assert "task.model, task.train_loader, config, task.test_loader" in code
    workbench.notebook.evaluate(code.replace("by_panel =", "b ="))
    assert workbench.notebook.evaluate(f"import torch\na = by_panel\n{SAME}") == "True"


def test_where_the_clipboard_is_refused_the_code_is_selected(workbench: Workbench) -> None:
    panel = workbench.new_panel()
    panel.open_tab("Code")
    panel.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
    )
    panel.press("Copy as code")
    expect(panel.region).to_contain_text("The text is selected")
    selected = panel.page.evaluate(
        "document.activeElement.value.slice(document.activeElement.selectionStart,"
        " document.activeElement.selectionEnd)"
    )
    assert selected.startswith("import sp_widget as sp")
    panel.page.evaluate("delete navigator.clipboard.writeText")


def test_a_preset_fills_the_fields_and_arrow_keys_change_numbers(workbench: Workbench) -> None:
    panel = workbench.new_panel()
    preset = panel.field("Preset")
    expect(preset).to_have_value("ioi")
    preset.select_option("tracr")
    expect(panel.field("Epochs")).to_have_value("500")
    expect(panel.field("Lambda")).to_have_value("0.001")
    expect(panel.status).to_contain_text("of 4,000")
    panel.field("Lambda").press("ArrowUp")
    expect(panel.field("Lambda")).to_have_value("0.002")
    expect(preset).to_have_value("custom")
    assert workbench.notebook.evaluate("print(probe.config.regularize_lambda)") == "0.002"


def test_the_time_is_estimated_before_the_start(workbench: Workbench) -> None:
    panel = workbench.new_panel()
    expect(panel.region).to_contain_text("479 edges, 400 steps; needs about")
    panel.press("Estimate time")
    expect(panel.region).to_contain_text(re.compile(r"a step, .* in all\."))
    panel.expect_state("idle")


def test_the_circuit_follows_the_training_and_ends_where_it_ends(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=12)
    circuit = panel.output.get_by_role("region", name="Circuit", exact=True)
    shown = circuit.get_by_label("Number of edges", exact=True)
    finish_a_run(panel)
    edges = str(panel.edges)
    expect(shown).to_have_value(edges)
    panel.press("Reset")
    panel.expect_state("idle")
    expect(shown).not_to_have_value(edges)


def test_nothing_moves_when_the_training_has_something_to_say(workbench: Workbench) -> None:
    panel = workbench.new_panel(loader=HELD_OUT, epochs=3)
    before = height_of(panel)
    finish_a_run(panel)
    expect(panel.status).to_contain_text("The scores are in the variable")
    assert height_of(panel) == before


def test_everything_unfolded_is_accessible(workbench: Workbench, photograph: Photograph) -> None:
    panel = workbench.new_panel(loader=HELD_OUT, epochs=3)
    finish_a_run(panel)
    panel.press("Reset")
    panel.expect_state("idle")
    panel.enter("Lambda", "3")
    finish_a_run(panel)
    panel.unfold("More settings")
    for scheme in ("light", "dark"):
        workbench.notebook.use_theme(scheme)
        for tab in ("Settings", "Faithfulness", "Runs", "Code", "Export"):
            panel.open_tab(tab)
            assert violations(panel) == [], tab
            photograph(panel.page, f"tab-{tab.lower()}-{scheme}")
    panel.open_tab("Runs")
    expect(panel.region.get_by_role("listitem")).to_have_count(1)

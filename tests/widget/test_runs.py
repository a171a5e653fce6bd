"""Finished runs are kept at a reset, compared in words and in the chart, renamed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.errors import ArgumentError, StateError
from sp_widget.types import AblationType
from sp_widget.widget.runs import FinishedRun, Runs, differences, in_chart, in_panel, since_last
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import choose, click, edit, edit_run
from tests.widget.conftest import CONFIG

MakeProbe = Callable[..., SubnetworkProbingWidget]


def run_once(probe: SubnetworkProbingWidget) -> None:
    probe.start()
    probe.wait(PATIENCE)


def test_a_reset_keeps_the_run_with_its_scores(probe: SubnetworkProbingWidget) -> None:
    run_once(probe)
    scores, history = probe.prune_scores, probe.history
    click(probe, "reset")
    (kept,) = probe.runs
    assert kept.name == "Run 1"
    assert kept.config == CONFIG
    assert list(kept.history) == history
    assert all(torch.equal(kept.prune_scores[name], scores[name]) for name in scores)
    probe._publisher.flush()
    (shown,) = probe.panel.runs
    last = history[-1]
    assert shown["result"] == f"12 steps, loss {last.loss:.4g}, {last.hard_edge_count} edges"
    assert shown["differences"] == ""


def test_a_paused_run_is_kept_and_says_how_far_it_came(make_probe: MakeProbe) -> None:
    probe = make_probe()
    watching = Watch(probe._session)
    probe.step()
    watching.until_state("paused")
    probe.reset()
    assert probe.runs[0].result.startswith("1 of 12 steps")


def test_a_run_without_a_step_is_not_kept(make_probe: MakeProbe) -> None:
    probe = make_probe()
    probe.reset()
    assert probe.runs == []


def test_the_seed_that_was_drawn_is_kept_but_is_no_difference(make_probe: MakeProbe) -> None:
    probe = make_probe(replace(CONFIG, seed=None))
    for _ in range(2):
        run_once(probe)
        probe.reset()
    first, second = probe.runs
    assert isinstance(first.config.seed, int)
    assert first.config.seed != second.config.seed
    assert in_panel(probe.runs)[1]["differences"] == "since Run 1: the same settings"
    assert since_last(probe.runs, replace(CONFIG, seed=3)) == "since Run 2: the same settings"


def test_a_number_of_threads_is_nothing_that_was_done_to_the_run(make_probe: MakeProbe) -> None:
    probe = make_probe(threads=2)
    run_once(probe)
    probe.reset()
    assert [each.action for each in probe.runs[0].interventions] == ["threads"]
    assert "hreads" not in probe.runs[0].result


def test_two_chosen_seeds_are_a_difference(probe: SubnetworkProbingWidget) -> None:
    run_once(probe)
    probe.reset()
    assert since_last(probe.runs, replace(CONFIG, seed=3)) == "since Run 1: Seed 1 → 3"
    drawn = replace(CONFIG, seed=None)
    assert since_last(probe.runs, drawn) == "since Run 1: the same settings"


def test_a_measurement_is_nothing_that_was_done_to_the_run(
    make_probe: MakeProbe, prompts: PromptDataLoader
) -> None:
    probe = make_probe(validation_dataloader=prompts)
    run_once(probe)
    probe.evaluate()
    probe.reset()
    assert ";" not in probe.runs[0].result


def test_differences_are_told_in_the_words_of_the_panel() -> None:
    before = replace(CONFIG, circuit_size=5)
    after = replace(
        CONFIG,
        regularize_lambda=3.0,
        epochs=50,
        tree_optimisation=True,
        ablation_type=AblationType.ZERO,
        cache="host",
    )
    assert differences(before, after) == (
        "Ablation Resample → Zero, Cache auto → host, Epochs 4 → 50, Lambda 10 → 3, "
        "Circuit size 5 → as few as possible, Tree optimisation off → on"
    )


def test_what_was_done_on_the_way_is_told(probe: SubnetworkProbingWidget) -> None:
    watching = Watch(probe._session)
    probe.step()
    watching.until_state("paused")
    edit(probe, regularize_lambda="3")
    probe.resume()
    probe.wait(PATIENCE)
    probe.reset()
    assert probe.runs[0].result.endswith("edges; Lambda 3 from step 2")


def test_the_run_at_hand_is_compared_with_the_last_one(probe: SubnetworkProbingWidget) -> None:
    run_once(probe)
    probe.reset()
    edit(probe, regularize_lambda="2")
    probe._publisher.flush()
    assert probe.panel.since_last_run == "since Run 1: Lambda 10 → 2"
    assert since_last([], CONFIG) == ""


def test_a_person_renames_hides_and_deletes_runs(probe: SubnetworkProbingWidget) -> None:
    for _ in range(3):
        run_once(probe)
        probe.reset()
    edit_run(probe, 2, name="  dear edges ")
    edit_run(probe, 1, shown=False)
    edit_run(probe, 3, delete=True)
    assert [(run.name, run.shown) for run in probe.runs] == [
        ("Run 1", False),
        ("dear edges", True),
    ]
    assert [run.name for run in in_chart(probe.runs)] == ["dear edges"]
    run_once(probe)
    probe.reset()
    assert probe.runs[-1].name == "Run 4", "a number is never given twice"


@pytest.mark.parametrize(("name", "reason"), [(" ", "a name for the run"), ("Run 1", "no other")])
def test_a_bad_name_is_refused_in_words(
    probe: SubnetworkProbingWidget, name: str, reason: str
) -> None:
    for _ in range(2):
        run_once(probe)
        probe.reset()
    edit_run(probe, 2, name=name)
    assert [run.name for run in probe.runs] == ["Run 1", "Run 2"]
    probe._publisher.flush()
    assert reason in probe.panel.status["message"]


def test_a_run_that_is_gone_cannot_be_changed() -> None:
    """Deleted in another view of the same widget."""
    with pytest.raises(ArgumentError, match="number"):
        Runs().rename(1, "x")


def test_a_run_says_what_it_is(probe: SubnetworkProbingWidget) -> None:
    run_once(probe)
    probe.reset()
    assert isinstance(probe.runs[0], FinishedRun)
    assert repr(probe.runs[0]).startswith("FinishedRun('Run 1': 12 steps, loss ")


def test_a_new_run_does_not_take_the_name_that_a_person_gave(
    probe: SubnetworkProbingWidget,
) -> None:
    run_once(probe)
    probe.reset()
    edit_run(probe, 1, name="Run 2")
    run_once(probe)
    probe.reset()
    assert [run.name for run in probe.runs] == ["Run 2", "Run 2 (2)"]


def test_a_run_without_a_name_keeps_the_one_it_has(probe: SubnetworkProbingWidget) -> None:
    run_once(probe)
    probe.reset()
    edit_run(probe, 1, name="  ")
    probe._publisher.flush()
    assert "name: wanted a name for the run" in probe.panel.status["message"]
    assert probe.panel.runs[0]["name"] == "Run 1"
    edit_run(probe, 1, name="Run 1")
    probe._publisher.flush()
    assert probe.panel.status["message"] == "", "its own name is not taken"


def test_a_run_under_way_is_neither_reset_nor_kept(make_probe: MakeProbe) -> None:
    probe = make_probe(replace(CONFIG, epochs=100_000))
    watching = Watch(probe._session)
    probe.start()
    watching.until(lambda s: s.state == "running" and s.step > 0)
    with pytest.raises(StateError, match="cannot reset: the run is running"):
        probe.reset()
    assert probe.runs == []


def test_a_preset_fills_the_fields_and_an_edit_makes_it_custom(
    probe: SubnetworkProbingWidget,
) -> None:
    assert probe.panel.preset == "given"
    choose(probe, "ioi")
    assert probe.panel.preset == "ioi"
    assert probe.panel.values["regularize_lambda"] == "1"
    assert probe.panel.values["seed"] == "1", "what the preset does not state stays"
    edit(probe, regularize_lambda="2")
    assert probe.panel.preset == "custom"
    choose(probe, "given")
    assert probe.config == CONFIG


def test_a_preset_waits_for_the_end_of_the_run(probe: SubnetworkProbingWidget) -> None:
    watching = Watch(probe._session)
    probe.step()
    watching.until_state("paused")
    choose(probe, "ioi")
    assert probe.config == CONFIG
    probe._publisher.flush()
    assert "cannot take a preset" in probe.panel.status["message"]

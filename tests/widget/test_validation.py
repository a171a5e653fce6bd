"""Validation from the panel and from code, and the way back to the best masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.errors import StateError
from sp_widget.report.circuit_data import score_bytes
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import click
from tests.widget.conftest import CONFIG

MakeProbe = Callable[..., SubnetworkProbingWidget]

HELD_OUT = replace(CONFIG, evaluate_every=1, learning_rate=0.5, regularize_lambda=0.01)


def test_evaluations_are_made_on_the_way_and_shown(
    make_probe: MakeProbe, prompts: PromptDataLoader
) -> None:
    probe = make_probe(replace(HELD_OUT, evaluate_every=5), validation_dataloader=prompts)
    probe.start()
    probe.wait(PATIENCE)
    assert [each.step for each in probe.evaluations] == [5, 10, 12]
    assert probe.panel.validation["last_step"] == 12
    assert (
        f"KL divergence {probe.evaluations[-1].faithfulness:.3g}" in probe.panel.validation["last"]
    )


def test_evaluate_now_measures_between_two_steps(
    make_probe: MakeProbe, prompts: PromptDataLoader
) -> None:
    probe = make_probe(replace(HELD_OUT, evaluate_every=None), validation_dataloader=prompts)
    watching = Watch(probe._session)
    probe.step()
    watching.until_state("paused")
    click(probe, "evaluate")
    watching.until(lambda snapshot: len(snapshot.evaluations) == 1)
    assert probe.evaluate() == probe.evaluations[0]


def test_restoring_the_best_brings_its_scores_everywhere(
    make_probe: MakeProbe, prompts: PromptDataLoader
) -> None:
    probe = make_probe(replace(HELD_OUT, epochs=8, seed=2), validation_dataloader=prompts)
    watching = Watch(probe._session)
    scores = []
    for step in range(1, 25):
        probe.step()
        watching.until(lambda s, step=step: s.state in ("paused", "done") and s.step == step)
        scores.append(probe.prune_scores)
    if probe.state == "paused":
        probe.resume()
    probe.wait(PATIENCE)
    objectives = [e.faithfulness + 0.01 * e.regularizer for e in probe.evaluations]
    best = min(range(24), key=lambda i: objectives[i])
    click(probe, "restore_best")
    assert all(torch.equal(probe.prune_scores[n], scores[best][n]) for n in scores[best])
    probe._publisher.flush()
    assert f"of step {best + 1} again" in probe.panel.status["message"]
    assert probe.circuit.scores == score_bytes(probe._model.graph, scores[best])
    # The picture shows that circuit, not the one of the last step.
    assert probe.evaluations[best].edges != probe.history[-1].hard_edge_count
    assert f"Circuit of {probe.evaluations[best].edges} of" in probe.snapshot().words.replace(
        "Chart of the training, and circuit", "Circuit"
    )


def test_evaluations_are_drawn_again_when_the_next_run_is_the_same(
    make_probe: MakeProbe, prompts: PromptDataLoader
) -> None:
    """Reset, start and end before the browser was told of any of them."""
    probe = make_probe(HELD_OUT, validation_dataloader=prompts)
    probe.start()
    probe.wait(PATIENCE)
    drawn = probe.chart.tools.still[0]
    with probe._publisher._publishing:
        probe._session.reset()
        probe._session.start()
        probe._session.wait(PATIENCE)
    probe._publisher.flush()
    assert probe.chart.tools.still[0] == drawn


def test_what_cannot_be_done_is_explained(probe: SubnetworkProbingWidget) -> None:
    probe.start()
    probe.wait(PATIENCE)
    with pytest.raises(StateError, match="validation_dataloader"):
        probe.evaluate()
    click(probe, "evaluate")
    probe._publisher.flush()
    assert "no validation_dataloader" in probe.panel.status["message"]
    click(probe, "restore_best")
    probe._publisher.flush()
    assert "nothing was evaluated" in probe.panel.status["message"]


def test_the_time_of_a_step_is_measured_only_before_the_start(
    probe: SubnetworkProbingWidget,
) -> None:
    click(probe, "estimate")
    assert "a step" in probe.panel.outlook["text"]
    probe.start()
    probe.wait(PATIENCE)
    click(probe, "estimate")
    probe._publisher.flush()
    assert "cannot make a trial step" in probe.panel.status["message"]

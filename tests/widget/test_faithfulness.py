"""The faithfulness curve beside a training: measured when a run ends, and when asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

import sp_widget as sp
from sp_widget.errors import ArgumentError, StateError
from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.session.background_evaluation import THREAD_NAME
from sp_widget.widget.faithfulness import FaithfulnessView
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.widget.conftest import CONFIG, until

MakeProbe = Callable[..., SubnetworkProbingWidget]


def _names(probe: SubnetworkProbingWidget) -> list[str]:
    probe._publisher.wake()
    probe._publisher.flush()
    return [curve["name"] for curve in probe.faithfulness.curves]


def test_a_run_is_measured_when_it_ends_and_stays_beside_the_next(
    make_probe: MakeProbe, model: sp.PatchableModel, prompts: sp.PromptDataLoader
) -> None:
    probe = make_probe(CONFIG, validation_dataloader=prompts)
    assert probe.evaluation is None
    probe.start()
    probe.wait()
    found = probe.evaluation
    assert found is not None
    assert found.complete
    # In the direction of the run: all its circuits are those of `run_circuits`.
    size = probe.history[-1].hard_edge_count
    outputs = sp.run_circuits(model, prompts, [size], probe.prune_scores)[size]
    kl = []
    for batch in prompts:
        log_p = model(batch.clean)[model.out_slice].detach().log_softmax(-1)
        log_q = outputs[batch.key].log_softmax(-1)
        kl += (log_p.exp() * (log_p - log_q)).sum(-1).tolist()
    assert dict(found.curve())[size] == pytest.approx(sum(kl) / len(kl), abs=1e-6)

    assert _names(probe) == ["This run"]
    curve = probe.faithfulness.curves[0]
    assert curve["protocol"] == "resample, edge patch"
    assert [size for size, _ in curve["circuit"]] == [size for size, _ in found.curve() if size]
    assert curve["complement"]
    assert curve["random"]
    assert probe.faithfulness.most == model.n_edges
    assert (probe.faithfulness.note, probe.faithfulness.measure) == ("", "later")

    probe.reset()
    assert probe.evaluation is None
    assert _names(probe) == ["Run 1"]
    probe.start()
    probe.wait()
    assert probe.evaluation is not found
    assert _names(probe) == ["This run", "Run 1"]
    probe._runs.show(1, False)
    assert _names(probe) == ["This run"]


def test_a_paused_run_is_measured_when_asked_for_and_a_training_is_not_slowed_down(
    make_probe: MakeProbe,
) -> None:
    probe = make_probe(sp.SubnetworkProbingConfig(epochs=100_000, seed=1))
    background = probe._background
    with pytest.raises(StateError, match="the run is idle"):
        background.measure()
    probe.step()
    until(probe, lambda: probe.state == "paused")
    assert _names(probe) == []
    assert probe.faithfulness.measure == "now"
    probe.faithfulness._handle_message(None, {"type": "measure"}, [])
    assert background.progress is not None
    probe.resume()
    until(probe, lambda: len(probe.history) > 3)
    with pytest.raises(StateError, match="the run is running"):
        background.measure()
    # What was at work when the run went on comes to its end, and nothing more.
    steps, before = len(probe.history), background.progress
    until(probe, lambda: len(probe.history) > steps + 20)
    after = background.progress
    if before is not None and before[1]:
        assert after is not None
        assert after[1] == before[1]
        assert after[0] < after[1]
    probe.pause()
    until(probe, lambda: probe.state == "paused")
    background.wait()
    background.measure()
    assert probe.evaluation is not None
    assert _names(probe) == ["This run"]


def test_closing_ends_what_is_measured(make_probe: MakeProbe) -> None:
    probe = make_probe()
    probe.start()
    probe.wait()
    probe.close()
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


def test_the_panel_says_what_is_off(make_probe: MakeProbe) -> None:
    config = sp.SubnetworkProbingConfig(
        steps=20, learning_rate=0.5, regularize_lambda=1000.0, seed=1
    )
    probe = make_probe(config)
    assert probe.panel.diagnosis == []
    probe.start()
    probe.wait()
    found = [each["problem"] for each in probe.panel.diagnosis]
    assert found == ["No edge is left in the circuit."]


@pytest.fixture(scope="module")
def evaluation(model: sp.PatchableModel, prompts: sp.PromptDataLoader) -> Evaluation:
    scores = sp.random_prune_scores(model, prompts, seed=0)
    return sp.evaluate(model, prompts, scores, random=2, seed=0, progress=False)


def test_it_shows_evaluations_that_were_made_by_hand(evaluation: Evaluation) -> None:
    view = FaithfulnessView({"random": evaluation, "again": evaluation}, "accuracy")
    assert [curve["name"] for curve in view.curves] == ["random", "again"]
    assert view.metric == "accuracy"
    assert view.measure == "never"
    one = FaithfulnessView(evaluation)
    assert one.metric == "KL(model ‖ circuit), nats"
    drawn = dict(one.curves[0]["circuit"])
    assert drawn == {size: value for size, value in evaluation.curve() if size}
    view.close()
    one.close()


@pytest.mark.parametrize(
    ("argument", "evaluations", "metric"),
    [("evaluations", 5, None), ("evaluations", {"a": 5}, None), ("metric", None, "mse")],
)
def test_bad_arguments_are_named(
    evaluation: Evaluation, argument: str, evaluations: Any, metric: str | None
) -> None:
    with pytest.raises(ArgumentError) as error:
        FaithfulnessView(evaluation if evaluations is None else evaluations, metric)
    assert error.value.argument == argument
    assert torch.is_grad_enabled()

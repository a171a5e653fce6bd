"""Panel, chart, session and scores together: what a person does, and what they then see."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, NonFiniteLossError, StateError
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import click, edit, rename
from tests.widget.conftest import CONFIG
from tests.widget.drawn import live_lines

MakeProbe = Callable[..., SubnetworkProbingWidget]
LONG = replace(CONFIG, epochs=100_000)


def published(probe: SubnetworkProbingWidget) -> dict[str, Any]:
    """The status in the browser once everything has been sent."""
    probe._publisher.flush()
    return dict(probe.panel.status)


def watch(probe: SubnetworkProbingWidget) -> Watch:
    return Watch(probe._session)


def pause_after_a_step(probe: SubnetworkProbingWidget) -> None:
    watching = watch(probe)
    probe.step()
    watching.until_state("paused")


def equal(scores: PruneScores, others: PruneScores) -> bool:
    return scores.keys() == others.keys() and all(
        torch.equal(scores[name], others[name]) for name in scores
    )


def test_start_trains_as_the_trainer_does_and_shows_the_end(
    probe: SubnetworkProbingWidget, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    click(probe, "start")
    probe.wait(PATIENCE)
    expected = SubnetworkProbing(model, prompts, CONFIG)
    scores = expected.run(progress=False)
    assert isinstance(probe.prune_scores, PruneScores)
    assert equal(probe.prune_scores, scores)
    assert [r.loss for r in probe.history] == [r.loss for r in expected.history]
    assert probe.state == "done"
    status = probe.panel.status
    last = expected.history[-1]
    assert status == {
        "state": "done",
        "step": 12,
        "n_steps": 12,
        "epoch": 4,
        "epochs": 4,
        "loss": last.loss,
        "edges": last.hard_edge_count,
        "n_edges": model.n_edges,
        "seconds_left": None,
        "threads": 1,
        "message": "The scores are in .prune_scores of this widget.",
        "progress": 1.0,
        "progress_label": "",
    }
    steps, _ = live_lines(probe.chart)["Loss"]
    assert steps == list(range(1, 13))


def test_before_the_start_the_panel_knows_what_would_be_run(
    probe: SubnetworkProbingWidget, model: PatchableModel
) -> None:
    status = probe.panel.status
    assert (status["state"], status["step"], status["n_steps"]) == ("idle", 0, 12)
    assert (status["epochs"], status["n_edges"]) == (4, model.n_edges)
    edit(probe, epochs="5")
    assert published(probe)["n_steps"] == 15
    assert "idle" in repr(probe)


def test_pause_resume_step_and_stop_from_the_panel(make_probe: MakeProbe) -> None:
    probe = make_probe(LONG)
    watching = watch(probe)
    click(probe, "start")
    watching.until(lambda snapshot: snapshot.step >= 2)
    click(probe, "pause")
    paused = watching.until_state("paused")
    assert published(probe)["state"] == "paused"
    click(probe, "step")
    watching.until(lambda s: s.state == "paused" and s.step == paused.step + 1)
    click(probe, "resume")
    watching.until(lambda snapshot: snapshot.step >= paused.step + 3)
    click(probe, "stop")
    probe.wait(PATIENCE)
    assert published(probe)["state"] == "stopped"
    assert len(probe.history) == probe.panel.status["step"]
    assert f"stopped, step {len(probe.history)} of 300000" in repr(probe)


def test_pauses_leave_the_scores_bit_exact(
    probe: SubnetworkProbingWidget, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    watching = watch(probe)
    for step in (1, 2, 3):
        probe.step()
        watching.until(lambda s, step=step: s.state == "paused" and s.step == step)
    probe.resume()
    probe.wait(PATIENCE)
    assert equal(probe.prune_scores, SubnetworkProbing(model, prompts, CONFIG).run(progress=False))


def test_reset_clears_chart_and_status_for_a_run_with_another_config(
    probe: SubnetworkProbingWidget,
) -> None:
    probe.start()
    probe.wait(PATIENCE)
    click(probe, "reset")
    status = published(probe)
    assert (status["state"], status["step"], status["loss"], status["message"]) == (
        "idle",
        0,
        None,
        "",
    )
    assert all(line == ([], []) for line in live_lines(probe.chart).values())
    edit(probe, epochs="2")
    click(probe, "start")
    probe.wait(PATIENCE)
    assert len(probe.history) == 6
    assert all(steps == [1, 2, 3, 4, 5, 6] for steps, _ in live_lines(probe.chart).values())


def test_a_wrong_value_is_explained_beside_its_field_and_nothing_starts(
    probe: SubnetworkProbingWidget,
) -> None:
    edit(probe, learning_rate="fast", epochs="2")
    assert list(probe.panel.problems) == ["learning_rate"]
    assert probe.config == replace(CONFIG, epochs=2)
    click(probe, "start")
    assert probe.state == "idle"
    assert "learning_rate" in published(probe)["message"]
    with pytest.raises(StateError, match="learning_rate"):
        probe.start()
    edit(probe, learning_rate="1e-3")
    assert probe.panel.problems == {}
    assert probe.panel.values["learning_rate"] == "0.001"
    assert published(probe)["message"] == ""


def test_a_value_that_does_not_fit_the_model_is_explained_at_once(
    probe: SubnetworkProbingWidget,
) -> None:
    edit(probe, circuit_size="1000000")
    assert "got 1000000" in probe.panel.problems["circuit_size"]
    edit(probe, learning_rate="fast")
    assert set(probe.panel.problems) == {"circuit_size", "learning_rate"}
    edit(probe, learning_rate="0.1")
    click(probe, "start")
    assert probe.state == "idle"
    with pytest.raises(StateError, match=r"cannot start: circuit_size: .* got 1000000"):
        probe.start()
    edit(probe, circuit_size="3")
    assert probe.panel.problems == {}


def test_lambda_and_learning_rate_may_change_while_training_the_rest_may_not(
    probe: SubnetworkProbingWidget,
) -> None:
    pause_after_a_step(probe)
    edit(probe, regularize_lambda="0.5", learning_rate="0.2", epochs="9")
    assert probe.panel.values["epochs"] == "4"
    assert probe.config == replace(CONFIG, regularize_lambda=0.5, learning_rate=0.2)
    edit(probe, regularize_lambda="-1")
    assert list(probe.panel.problems) == ["regularize_lambda"]
    probe.resume()
    probe.wait(PATIENCE)
    assert [r.regularize_lambda for r in probe.history] == [10.0] + [0.5] * 11
    assert [r.learning_rate for r in probe.history] == [0.1] + [0.2] * 11


def test_what_the_state_does_not_allow_is_explained_in_the_panel(
    probe: SubnetworkProbingWidget,
) -> None:
    click(probe, "pause")
    assert published(probe)["message"] == "cannot pause: nothing was started"
    with pytest.raises(StateError):
        probe.pause()
    click(probe, "start")
    probe.wait(PATIENCE)
    assert "cannot pause" not in published(probe)["message"]


def test_an_unexpected_error_in_a_handler_reaches_the_panel(
    probe: SubnetworkProbingWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise MemoryError("no room for the masks")

    monkeypatch.setattr(probe._session, "start", fail)
    click(probe, "start")
    assert published(probe)["message"] == "MemoryError: no room for the masks"


def test_a_failed_training_keeps_history_and_scores_and_says_why(make_probe: MakeProbe) -> None:
    """The first step throws the masks out of range."""
    probe = make_probe(replace(CONFIG, mask_fn=None, learning_rate=1e20))
    pause_after_a_step(probe)
    good = probe.prune_scores
    click(probe, "resume")
    with pytest.raises(NonFiniteLossError):
        probe.wait(PATIENCE)
    status = published(probe)
    assert status["state"] == "failed"
    assert status["message"].startswith("NonFiniteLossError: ")
    assert len(probe.history) == 1
    assert equal(probe.prune_scores, good)
    with pytest.raises(NonFiniteLossError):
        asyncio.run(probe.finished())


def test_untrained_scores_are_not_saved(
    probe: SubnetworkProbingWidget, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    """Stopped during the preparation: an earlier run's scores must survive."""
    probe._deliver(SubnetworkProbing(model, prompts, CONFIG))
    assert probe._delivery.outcome == ""


def test_save_as_must_be_a_name_of_one_s_own(probe: SubnetworkProbingWidget) -> None:
    rename(probe, "print")
    assert "built into Python" in probe.panel.save_as_problem
    click(probe, "start")
    assert probe.state == "idle"
    assert "save_as" in published(probe)["message"]
    rename(probe, "mine")
    assert probe.panel.save_as_problem == ""
    click(probe, "start")
    probe.wait(PATIENCE)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("model", object()),
        ("dataloader", [1, 2]),
        ("validation_dataloader", "test"),
        ("config", {"epochs": 3}),
        ("official_edges", ["A7.0->Resid End"]),
        ("save_as", "class"),
        ("save_as", 3),
        ("threads", 0),
    ],
)
def test_a_bad_argument_is_named(
    argument: str, value: object, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    arguments: dict[str, Any] = {"model": model, "dataloader": prompts, argument: value}
    with pytest.raises(ArgumentError) as error:
        SubnetworkProbingWidget(**arguments)
    assert error.value.argument == argument


def test_validation_data_gives_a_line(make_probe: MakeProbe, prompts: PromptDataLoader) -> None:
    probe = make_probe(validation_dataloader=prompts)
    probe.start()
    probe.wait(PATIENCE)
    _, drawn = live_lines(probe.chart)["Validation"]
    assert drawn == pytest.approx([record.validation for record in probe.history], rel=1e-6)


@pytest.mark.parametrize("validation", [False, True])
def test_the_chart_moves_five_to_ten_times_a_second(
    make_probe: MakeProbe, prompts: PromptDataLoader, validation: bool
) -> None:
    probe = make_probe(validation_dataloader=prompts if validation else None)
    assert 5 <= 1 / probe._publisher.interval <= 10
    # A second may begin with an update; the summary takes one more message.
    messages = probe.chart.messages_per_update + 1
    assert messages * (1 / probe._publisher.interval + 1) + 1 <= 40


def test_closing_ends_the_training(make_probe: MakeProbe) -> None:
    probe = make_probe(LONG)
    watching = watch(probe)
    probe.start()
    watching.until_state("running")
    probe.close()
    probe.wait(PATIENCE)
    assert probe.state == "stopped"


def test_everybody_at_once(make_probe: MakeProbe) -> None:
    """Clicks and edits on several threads, while one trains and one publishes."""
    probe = make_probe(LONG)
    end = threading.Event()
    errors: list[BaseException] = []

    def clicks(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not end.is_set():
                click(probe, chance.choice(["start", "pause", "resume", "step", "stop", "reset"]))
                edit(probe, regularize_lambda=chance.choice(["1", "2e-1", "x"]))
                rename(probe, chance.choice(["mine", "yours", "print"]))
                if probe.state != "idle":
                    assert probe.prune_scores
                end.wait(chance.random() * 0.01)
        except StateError:
            # Reset between the look at the state and at the scores.
            clicks(seed + 1)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=clicks, args=(10 * seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    end.wait(2)
    end.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert errors == []
    status = published(probe)
    snapshot = probe._session.snapshot()
    if snapshot.state != "running":
        assert (status["state"], status["step"]) == (snapshot.state, snapshot.step)


def test_the_known_circuit_is_a_choice_where_it_is_known(make_probe: MakeProbe) -> None:
    unknown = make_probe()
    assert "ground_truth" not in [each["value"] for each in unknown.panel.methods]
    model = unknown._model
    known = frozenset(sorted(model.edges, key=str)[:4])
    probe = make_probe(official_edges=known)
    assert "ground_truth" in [each["value"] for each in probe.panel.methods]
    probe.panel._handle_message(None, {"type": "method", "method": "ground_truth"}, [])
    probe.start()
    probe.wait(PATIENCE)
    found = {edge for edge in model.edges if edge.prune_score(probe.prune_scores) > 0}
    assert found == known

"""The circuit view follows a training: seldom enough, and always to its last state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.report.circuit_data import score_bytes
from sp_widget.session import Session
from sp_widget.widget import live_circuit
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.live_circuit import LiveCircuit
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import click
from tests.widget.fast_trainer import FastTrainer, FastWidget

MakeProbe = Callable[..., SubnetworkProbingWidget]


def scores_of(probe: SubnetworkProbingWidget) -> bytes:
    return score_bytes(probe._model.graph, probe.prune_scores)


def test_the_last_scores_are_shown_when_the_wait_is_over(make_probe: MakeProbe) -> None:
    probe = make_probe()
    assert probe.circuit.scores == b""
    probe.start()
    probe.wait(PATIENCE)
    assert probe.circuit.scores == scores_of(probe)
    assert probe.circuit.training_edges == probe.history[-1].hard_edge_count


def test_a_reset_leaves_the_model_without_scores(make_probe: MakeProbe) -> None:
    probe = make_probe()
    probe.start()
    probe.wait(PATIENCE)
    click(probe, "reset")
    probe._publisher.flush()
    assert probe.circuit.scores == b""
    probe.start()
    probe.wait(PATIENCE)
    assert probe.circuit.scores == scores_of(probe)


def test_single_steps_are_followed(make_probe: MakeProbe) -> None:
    probe = make_probe()
    watching = Watch(probe._session)
    for step in (1, 2, 3):
        probe.step()
        watching.until(lambda s, step=step: s.state == "paused" and s.step == step)
        arrived = time.monotonic() + PATIENCE
        while probe.circuit.scores != scores_of(probe):
            assert time.monotonic() < arrived
            time.sleep(0.01)


def test_a_quick_training_is_shown_about_once_a_second(
    model: PatchableModel, prompts: PromptDataLoader
) -> None:
    probe = FastWidget(model, prompts, n_steps=1500)
    pictures: list[Any] = []
    probe.circuit.observe(pictures.append, "scores")
    began = time.monotonic()
    probe.start()
    probe.wait(PATIENCE)
    seconds = time.monotonic() - began
    # One at once, one when a second is over, and the last; at most.
    assert 2 <= len(pictures) <= seconds + 2
    assert probe.circuit.scores == scores_of(probe)
    probe.close()


@pytest.fixture
def paused(model: PatchableModel, prompts: PromptDataLoader) -> Iterator[Session]:
    """A run that has made one step."""
    session = Session(lambda: FastTrainer(model, prompts, 5))
    watching = Watch(session)
    session.step()
    watching.until(lambda s: s.state == "paused" and s.step == 1)
    yield session
    session.reset()


def shown(model: PatchableModel, session: Session) -> LiveCircuit:
    """Follows a session, and shows what it is at."""
    answered = threading.Event()
    live = LiveCircuit(CircuitView(model), session, answered.set)
    live.follow(session.snapshot())
    assert answered.wait(PATIENCE)
    live.follow(session.snapshot())
    assert live.view.scores
    return live


def test_what_is_answered_after_a_reset_is_not_shown(
    model: PatchableModel, paused: Session
) -> None:
    busy, answered = threading.Event(), threading.Event()
    paused.post(lambda trainer: busy.wait(PATIENCE))
    live = LiveCircuit(CircuitView(model), paused, answered.set)
    live.follow(paused.snapshot())
    busy.set()
    assert answered.wait(PATIENCE)
    paused.reset()
    live.follow(paused.snapshot())
    assert live.view.scores == b""


def test_single_steps_wait_less_than_a_training(model: PatchableModel, paused: Session) -> None:
    live = shown(model, paused)
    following = replace(paused.snapshot(), step=2, state="running")
    running = live.follow(following)
    stepping = live.follow(replace(following, state="paused"))
    assert running is not None
    assert stepping is None or stepping < running - 0.5


@pytest.mark.parametrize(("limit", "value"), [("SHARE_OF_TIME", 1e-9), ("BYTES_PER_SECOND", 1e-3)])
def test_many_edges_are_shown_more_seldom(
    model: PatchableModel,
    paused: Session,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
) -> None:
    """Reading them may take its share of the time, and sending them its share of the line."""
    monkeypatch.setattr(live_circuit, limit, value)
    live = shown(model, paused)
    seconds = live.follow(replace(paused.snapshot(), step=2, state="running"))
    assert seconds is not None
    assert seconds > 100


def test_known_edges_and_labels_reach_the_view(
    make_probe: MakeProbe, model: PatchableModel
) -> None:
    known = set(list(model.edges)[:3])
    probe = make_probe(official_edges=known)
    assert len(probe.circuit.graph["official"]) == 3
    probe.start()
    probe.wait(PATIENCE)
    assert 0 <= probe.circuit.auroc <= 1

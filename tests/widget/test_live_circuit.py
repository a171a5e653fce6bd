"""The circuit view follows a training: seldom enough, and always to its last state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sp_widget.core.data import PromptDataLoader
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.pictures.circuit_data import score_bytes
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE, Watch
from tests.widget.browser_messages import click
from tests.widget.fast_trainer import FastWidget

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


def test_known_edges_and_labels_reach_the_view(
    make_probe: MakeProbe, model: PatchableModel
) -> None:
    known = set(list(model.edges)[:3])
    probe = make_probe(official_edges=known)
    assert len(probe.circuit.graph["official"]) == 3
    probe.start()
    probe.wait(PATIENCE)
    assert 0 <= probe.circuit.auroc <= 1

"""A small model to train on, and widgets that are closed after the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.model_kinds import bridge, dataloader

CONFIG = SubnetworkProbingConfig(epochs=4, seed=1)
"""Twelve steps on the dataloader below."""


def until(probe: SubnetworkProbingWidget, holds: Callable[[], bool]) -> None:
    """Wait for what a change of the session brings about."""
    changed = threading.Event()
    probe._session.subscribe(changed.set)
    while not holds():
        assert changed.wait(60)
        changed.clear()


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"))


@pytest.fixture(scope="module")
def prompts() -> PromptDataLoader:
    return dataloader()


@pytest.fixture
def make_probe(
    model: PatchableModel, prompts: PromptDataLoader
) -> Iterator[Callable[..., SubnetworkProbingWidget]]:
    probes: list[SubnetworkProbingWidget] = []

    def make(config: SubnetworkProbingConfig = CONFIG, **arguments: Any) -> SubnetworkProbingWidget:
        probes.append(SubnetworkProbingWidget(model, prompts, config=config, **arguments))
        return probes[-1]

    yield make
    for probe in probes:
        probe.close()


@pytest.fixture
def probe(make_probe: Callable[..., SubnetworkProbingWidget]) -> SubnetworkProbingWidget:
    return make_probe()

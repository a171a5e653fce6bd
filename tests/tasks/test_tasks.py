"""What holds for every bundled task."""

from __future__ import annotations

import pytest
import torch

import sp_widget as sp
from tests.tasks.loaded import ASSETS, task

NAMES = (
    "tiny-ioi",
    "agreement",
    "induction",
    "tracr-xproportion",
    "tracr-reverse",
    "tracr-sort",
    "tracr-histogram",
    "tracr-pair-balance",
)


def test_the_names_are_the_documented_ones() -> None:
    assert sp.tasks.names() == NAMES


def test_an_unknown_name_is_refused_with_the_choices() -> None:
    with pytest.raises(sp.ArgumentError) as caught:
        sp.tasks.load("tiny_ioi")
    assert all(name in str(caught.value) for name in NAMES)
    assert "'tiny_ioi'" in str(caught.value)


def test_all_assets_together_are_below_ten_megabytes() -> None:
    sizes = [path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()]
    assert sum(sizes) < 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_task_loads_without_network_and_is_complete(name: str) -> None:
    loaded = task(name)
    assert loaded.name == name
    assert 2 <= loaded.description.count(". ") + 1 <= 5
    assert len(loaded.train_loader) > 0
    assert len(loaded.test_loader) > 0
    assert isinstance(loaded.config, sp.SubnetworkProbingConfig)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_passes_the_check_that_users_run(name: str) -> None:
    sp.check_model(task(name).model, task(name).train_loader)


@pytest.mark.parametrize("name", NAMES)
def test_official_edges_are_edges_of_the_model(name: str) -> None:
    official = task(name).official_edges
    assert (official is None) == (name in ("tiny-ioi", "agreement"))
    assert official is None or official < task(name).model.edges


@pytest.mark.parametrize("name", NAMES)
def test_no_test_prompt_is_a_train_prompt(name: str) -> None:
    train, test = (
        {tuple(row) for batch in loader for row in batch.clean.tolist()}
        for loader in (task(name).train_loader, task(name).test_loader)
    )
    assert train.isdisjoint(test)


@pytest.mark.parametrize("name", NAMES)
def test_every_corrupt_prompt_differs_from_its_clean_prompt(name: str) -> None:
    for batch in task(name).train_loader:
        assert (batch.clean != batch.corrupt).any(dim=1).all()


def test_batch_size_and_device_reach_the_loaders() -> None:
    loaded = sp.tasks.load("induction", batch_size=(5, 7), device="cpu")
    assert next(iter(loaded.train_loader)).clean.shape[0] == 5
    assert next(iter(loaded.test_loader)).clean.shape[0] == 7
    assert loaded.model.device == torch.device("cpu")


def test_every_load_gives_a_fresh_model() -> None:
    first, second = sp.tasks.load("induction"), sp.tasks.load("induction")
    assert first.model.wrapped_model is not second.model.wrapped_model

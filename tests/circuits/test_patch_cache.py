"""Memory options change where numbers wait, never the numbers."""

from __future__ import annotations

import pytest
import torch

from sp_widget.circuits import patch_cache
from sp_widget.errors import ArgumentError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import reference


def trained(**settings: object) -> SubnetworkProbing:
    config = SubnetworkProbingConfig(epochs=3, seed=0, **settings)  # type: ignore[arg-type]
    trainer = SubnetworkProbing(reference.model("comp"), reference.dataloader(), config)
    trainer.run(progress=False)
    return trainer


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("settings", [{"cache": "host"}, {"cache": "recompute"}])
def test_every_cache_gives_the_same_scores_bit_by_bit(tree: bool, settings: dict[str, str]) -> None:
    expected = trained(tree_optimisation=tree, cache="device").prune_scores
    scores = trained(tree_optimisation=tree, **settings).prune_scores
    assert all(torch.equal(scores[name], expected[name]) for name in expected)


def test_recomputing_blocks_gives_the_same_scores_bit_by_bit() -> None:
    expected, scores = trained().prune_scores, trained(recompute=True).prune_scores
    assert all(torch.equal(scores[name], expected[name]) for name in expected)


def test_a_recomputed_patch_is_not_kept() -> None:
    batch = trained(cache="recompute").batches[0]
    assert batch.patch() is not batch.patch()
    kept = trained(cache="device").batches[0]
    assert kept.patch() is kept.patch()


def test_a_mean_over_the_dataset_is_made_once_whatever_the_cache() -> None:
    trainer = trained(
        tree_optimisation=True, ablation_type=AblationType.TOKENWISE_MEAN_CORRUPT, cache="recompute"
    )
    first, second = trainer.batches
    assert first.patch() is second.patch()


def test_auto_keeps_what_leaves_half_of_the_memory_free() -> None:
    cpu = torch.device("cpu")
    free = patch_cache.free_memory(cpu)
    assert free > 0
    assert patch_cache.choose_mode("auto", free // 10, cpu) == "device"
    assert patch_cache.choose_mode("auto", free * 2, cpu) == "recompute"
    assert patch_cache.choose_mode("host", free * 2, cpu) == "host"


def test_an_unknown_cache_is_refused_by_name() -> None:
    with pytest.raises(ArgumentError, match="cache: wanted one of"):
        SubnetworkProbingConfig(cache="disk")  # type: ignore[arg-type]

"""What a training will take is told before it starts."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from sp_widget.circuits import patch_cache
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.methods.estimate import _first_batch, estimate, preflight
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds


def test_counts_are_those_of_the_training() -> None:
    model, loader = (
        patchable_model(model_kinds.bridge("gpt2")),
        model_kinds.dataloader(batch_size=3),
    )
    config = SubnetworkProbingConfig(epochs=4)
    told = estimate(model, loader, config)
    trainer = SubnetworkProbing(model, loader, config)
    assert (told.n_edges, told.n_steps) == (model.n_edges, trainer.n_steps)
    assert told.seconds == told.n_steps * told.seconds_per_step > 0
    assert told.fits
    assert "110 edges" in repr(told)


@pytest.mark.parametrize("kind", ["gpt2", "native-gqa-rotary", "llama", "native-attention-only"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("factorized", [True, False])
def test_memory_is_about_what_a_fresh_training_allocates(
    kind: str, recompute: bool, factorized: bool
) -> None:
    """Against torch's own count of what is allocated at once during preparation and a step."""
    loader = model_kinds.dataloader(batch_size=32, n_prompts=64)
    config = SubnetworkProbingConfig(recompute=recompute, seed=0)
    told = estimate(
        patchable_model(model_kinds.bridge(kind), factorized), loader, config
    ).memory_needed
    trainer = SubnetworkProbing(
        patchable_model(model_kinds.bridge(kind), factorized), loader, config
    )
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        trainer.step()
    at_once = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            at_once += event.nbytes()
            peak = max(peak, at_once)
    assert 0.6 * peak < told < 1.6 * peak


@pytest.mark.parametrize("factorized", [True, False])
@pytest.mark.parametrize("ablation", [AblationType.RESAMPLE, AblationType.TOKENWISE_MEAN_CLEAN])
@pytest.mark.parametrize("kind", ["gpt2", "native-gqa-rotary", "gemma2"])
@pytest.mark.parametrize("n_validation", [0, 4])
def test_what_the_shapes_alone_tell_is_what_the_batches_take(
    kind: str, ablation: AblationType, factorized: bool, n_validation: int
) -> None:
    """The cached patch activations, against those of a prepared training."""
    model = patchable_model(model_kinds.bridge(kind), factorized)
    loader = model_kinds.dataloader(n_prompts=6)
    config = SubnetworkProbingConfig(seed=0, ablation_type=ablation, tree_optimisation=True)
    held_out = model_kinds.dataloader(2, n_validation) if n_validation else None
    trainer = SubnetworkProbing(model, loader, config, held_out)
    for _ in trainer.preparation():
        pass
    each = patch_cache.patch_bytes(trainer.batches[0].patch())
    # Batches of 3 prompts to train on, of 2 to validate; a mean is one row for all of them.
    shared = ablation.mean_over_dataset
    n_kept = 1 if shared else len(loader)
    kept = n_kept * each
    if held_out is not None:
        kept += each if shared else 2 * each * 2 // 3
    buffers = model.engine.run_bytes(trainer.batches[0].inputs.embed, config.recompute)
    told = preflight(model, loader, config, held_out)
    assert told.memory_needed == buffers + kept


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sp_widget.methods.estimate.free_memory", lambda device: 1000)
    told = estimate(patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader())
    assert not told.fits
    assert "MORE THAN IS FREE" in repr(told)


def test_a_dataset_that_does_not_fit_is_recomputed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_cache, "free_memory", lambda device: 10_000)
    config = SubnetworkProbingConfig(epochs=1)
    told = estimate(patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader(), config)
    assert told.cache == "recompute"


def test_the_trial_is_made_on_the_prompts_of_the_first_batch_with_their_prefix() -> None:
    whole = model_kinds.dataloader(batch_size=2)
    loader = PromptDataLoader(
        whole.dataset,
        diverge_idx=2,
        prefix=torch.tensor([1, 2]),
        batch_size=3,
        shuffle=True,
        generator=torch.Generator().manual_seed(1),
    )
    first, (trial,) = next(iter(loader)), _first_batch(loader)
    assert torch.equal(trial.clean, first.clean)
    assert not torch.equal(first.clean, next(iter(whole)).clean[:3])
    assert torch.equal(trial.prefix, torch.tensor([1, 2]))


def test_a_bad_argument_is_named() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    with pytest.raises(ArgumentError, match=r"^dataloader: wanted a PromptDataLoader"):
        estimate(model, [])
    with pytest.raises(ArgumentError, match=r"^validation_dataloader: wanted a PromptDataLoader"):
        preflight(model, model_kinds.dataloader(), None, 3)


def test_the_trial_changes_no_random_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    estimate(patchable_model(model_kinds.bridge("gpt2")), model_kinds.dataloader())
    assert torch.equal(torch.get_rng_state(), before)

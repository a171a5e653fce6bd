"""What a training will take, before it is started."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from sp_widget import methods
from sp_widget.circuits.patch_cache import CacheMode, choose_mode, free_memory
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import MethodConfig, Trainer


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What can be said of a training at once, without running the model."""

    n_edges: int
    n_steps: int
    cache: CacheMode
    """Where patch activations would wait between steps."""
    memory_needed: int
    """Bytes on the model's device beyond the model itself: buffers, and what is cached there."""
    memory_free: int
    """Bytes that can still be taken there, before anything of this training is made."""

    @property
    def fits(self) -> bool:
        """Whether there is memory enough."""
        return self.memory_needed <= self.memory_free


@dataclass(frozen=True, kw_only=True, repr=False)
class Estimate(Preflight):
    """The expected cost of a training."""

    seconds_per_step: float
    """Measured on a trial step."""

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return self.n_steps * self.seconds_per_step

    def __repr__(self) -> str:
        verdict = "" if self.fits else ", MORE THAN IS FREE"
        return (
            f"Estimate({self.n_edges:,} edges, {self.n_steps:,} steps of "
            f"{self.seconds_per_step:.3g} s: {self.seconds:.3g} s; memory "
            f"{self.memory_needed / 1e9:.2f} GB of {self.memory_free / 1e9:.2f} GB free{verdict}; "
            f"patch activations: {self.cache})"
        )


def preflight(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    config: MethodConfig | None = None,
    validation_dataloader: PromptDataLoader | None = None,
) -> Preflight:
    """Return what a run will take in memory, from the shapes of model and data alone.

    Raises `ArgumentError` with the name of a bad argument.
    """
    trainer = _trainer(model, dataloader, config, validation_dataloader)
    config = trainer.config
    embed = _first_stream(model, dataloader)
    mode, patches = _patches(model, dataloader, config)
    if validation_dataloader is not None:
        patches += _patches(model, validation_dataloader, config)[1]
    recompute = bool(getattr(config, "recompute", False))
    return Preflight(
        n_edges=model.n_edges,
        n_steps=trainer.n_steps,
        cache=mode,
        memory_needed=model.engine.run_bytes(embed, recompute) + patches,
        memory_free=free_memory(model.device),
    )


def estimate(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    config: MethodConfig | None = None,
    validation_dataloader: PromptDataLoader | None = None,
) -> Estimate:
    """Make trial steps on the first batch, and return what the whole run will take.

    `config`: that of any method; by default subnetwork probing's. The trial leaves nothing behind
    but the model's work buffers, which the training uses again.
    Its time has in it what every step does on a validation batch, but not the evaluations of
    the hard circuit on all of them, every `evaluate_every` steps.

    Raises `ArgumentError` with the name of a bad argument.
    """
    told = preflight(model, dataloader, config, validation_dataloader)
    config = methods.of(config).Config() if config is None else config
    trial_config = replace(config, cache="device", seed=0, evaluate_every=None)
    validation = None if validation_dataloader is None else _first_batch(validation_dataloader)
    trial = _trainer(model, _first_batch(dataloader), trial_config, validation)
    # The first step makes the buffers; the second, where there is one, is like all that follow.
    seconds = trial.step().seconds
    if not trial.done:
        seconds = trial.step().seconds
    return Estimate(**vars(told), seconds_per_step=seconds)


def _trainer(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    config: MethodConfig | None,
    validation_dataloader: PromptDataLoader | None,
) -> Trainer[Any]:
    return methods.of(config).trainer(model, dataloader, config, validation_dataloader)


def _first_stream(model: PatchableModel, dataloader: PromptDataLoader) -> Tensor:
    """A residual stream of the first batch, `[batch, seq, d_model]`, without its values."""
    batch, seq = next(iter(dataloader)).clean.shape
    dtype = next(model.wrapped_model.parameters()).dtype
    return torch.empty(batch, seq, model.cfg.d_model, dtype=dtype, device="meta")


def _patches(
    model: PatchableModel, dataloader: PromptDataLoader, config: MethodConfig
) -> tuple[CacheMode, int]:
    """Where the patch activations of a dataset wait, and the bytes of those on the device."""
    embed = _first_stream(model, dataloader)
    shared = config.ablation_type.mean_over_dataset
    patch = model.engine.patch_streams * embed.nbytes // (len(embed) if shared else 1)
    mode = choose_mode(config.cache, patch * len(dataloader), model.device)
    on_device = mode == "device" or (mode == "host" and model.device.type == "cpu")
    return mode, patch * (len(dataloader) if on_device and not shared else 1)


def _first_batch(dataloader: PromptDataLoader) -> PromptDataLoader:
    n_prompts = len(next(iter(dataloader)).clean)
    first = list(itertools.islice(dataloader.sampler, n_prompts))
    return PromptDataLoader(
        Subset(dataloader.dataset, first),
        diverge_idx=dataloader.diverge_idx,
        prefix=dataloader.prefix,
        batch_size=n_prompts,
    )

"""Patch activations: what a patched edge carries instead of its source's current value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError, require_member
from sp_widget.models.own_copy import refuse_hooks
from sp_widget.types import AblationType, Side


def src_ablations(
    model: PatchableModel,
    sample: Int[Tensor, "batch seq"] | PromptDataLoader,
    ablation_type: AblationType = AblationType.RESAMPLE,
    attention_mask: Int[Tensor, "batch seq"] | None = None,
    prefix: Int[Tensor, " prefix"] | None = None,
) -> Float[Tensor, "sources batch seq d_model"]:
    """Patch activations of every source.

    `sample`: tokens, or, for the means over a dataset, the dataloader to average over (its
    result has the dataloader's batch size; all rows are equal). `attention_mask`: 0 where a
    token is padding; padding enters no mean. `prefix`: tokens before those of every prompt;
    prompts of a batch bring theirs with them.

    Raises `ArgumentError` with the name of a bad argument.
    """
    require_member("ablation_type", ablation_type, AblationType)
    require_patchable(model)
    refuse_hooks(model.wrapped_model)
    model.check_unchanged()
    if ablation_type.mean_over_dataset:
        if not isinstance(sample, PromptDataLoader):
            wanted = f"a PromptDataLoader for {ablation_type.name}"
            raise ArgumentError("sample", wanted, type(sample).__name__)
        check_model_and_prompts(model, sample, "sample")
        n_prompts = len(next(iter(sample)).clean)
        return dataset_mean(model, sample, ablation_type).expand(-1, n_prompts, -1, -1)
    model.check_tokens(sample, attention_mask, prefix, "sample")
    assert isinstance(sample, Tensor)
    inputs, _ = model.engine.architecture.run_inputs(sample, attention_mask, prefix)
    return ablate_batch(model.engine.source_outputs(inputs), ablation_type, attention_mask)


def ablate_batch(
    sources: Float[Tensor, "sources batch seq d_model"],
    ablation_type: AblationType,
    attention_mask: Int[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, "sources batch seq d_model"]:
    """Patch activations of one batch from the outputs of its sources on the other prompts."""
    if ablation_type is AblationType.RESAMPLE:
        return sources
    if ablation_type is AblationType.ZERO:
        return torch.zeros_like(sources)
    weights = _token_weights(sources, attention_mask)
    dims = (1,) if ablation_type is AblationType.BATCH_TOKENWISE_MEAN else (1, 2)
    total = (sources * weights).sum(dims, keepdim=True)
    mean = total / weights.sum([d - 1 for d in dims], keepdim=True).clamp(min=1)
    return mean.expand_as(sources)


def dataset_mean(
    model: PatchableModel, dataloader: PromptDataLoader, ablation_type: AblationType
) -> Float[Tensor, "sources 1 seq d_model"]:
    """Mean output of every source at every token position over the dataset's prompts."""
    total: Tensor | None = None
    count: Tensor | None = None
    sides: list[Side] = []
    if ablation_type.clean_dataset:
        sides.append("clean")
    if ablation_type.corrupt_dataset:
        sides.append("corrupt")
    for batch in dataloader:
        for side in sides:
            given = prompts(batch, side)
            inputs, _ = model.engine.architecture.run_inputs(*given)
            sources = model.engine.source_outputs(inputs)
            weights = _token_weights(sources, given.attention_mask)
            batch_total = (sources * weights).sum(1, keepdim=True)
            total = batch_total if total is None else total + batch_total
            batch_count = weights.sum(0, keepdim=True)
            count = batch_count if count is None else count + batch_count
    if total is None or count is None:
        raise ArgumentError("dataloader", "at least one batch", "none")
    return total / count.clamp(min=1)


class Prompts(NamedTuple):
    """One side of a batch, as the model takes it."""

    tokens: Int[Tensor, "batch seq"]
    attention_mask: Int[Tensor, "batch seq"] | None
    prefix: Int[Tensor, " prefix"] | None


def prompts(batch: PromptPairBatch, side: Side) -> Prompts:
    """The clean or the corrupt prompts of a batch."""
    if side == "clean":
        return Prompts(batch.clean, batch.clean_attention_mask, batch.prefix)
    return Prompts(batch.corrupt, batch.corrupt_attention_mask, batch.prefix)


def _token_weights(
    sources: Float[Tensor, "sources batch seq d_model"], attention_mask: Tensor | None
) -> Float[Tensor, "batch seq 1"]:
    """1 for a token, 0 for padding."""
    if attention_mask is None:
        return sources.new_ones(*sources.shape[1:3], 1)
    return attention_mask.to(sources.dtype).unsqueeze(-1)

"""Everything about a batch that does not change while the masks are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sp_widget.core.ablations import Side, ablate_batch, dataset_mean, prompts
from sp_widget.core.architecture import RunInputs
from sp_widget.core.data import PromptDataLoader, PromptPairBatch
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.core.tape import Patch
from sp_widget.core.types import AblationType


@dataclass(frozen=True)
class PreparedBatch:
    """A batch with its clean logits, its way into block 0 and its patch activations."""

    batch: PromptPairBatch
    clean_logits: Tensor
    """At the model's output positions."""
    inputs: RunInputs
    patch: Patch


@torch.no_grad()
def prepare_batches(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    ablation_type: AblationType,
    tree_optimisation: bool,
) -> Iterator[PreparedBatch]:
    """The dataloader's batches, prepared one after the other.

    `tree_optimisation` runs the clean prompts and patches with the corrupt ones; without it
    the other way round.
    """
    engine, architecture = model.engine, model.engine.architecture
    run_side: Side = "clean" if tree_optimisation else "corrupt"
    mean = None
    if ablation_type.mean_over_dataset:
        mean = engine.patch(dataset_mean(model, dataloader, ablation_type))
    for batch in dataloader:
        runs = {}
        clean_logits = None
        for side in ("clean", "corrupt"):
            runs[side], logits = architecture.run_inputs(*prompts(batch, side))
            if side == "clean":
                clean_logits = logits[model.out_slice].clone()
        assert clean_logits is not None
        patch = mean
        if patch is None:
            other: Side = "corrupt" if tree_optimisation else "clean"
            sources = engine.source_outputs(runs[other])
            _, attention_mask = prompts(batch, other)
            patch = engine.patch(ablate_batch(sources, ablation_type, attention_mask))
        yield PreparedBatch(batch, clean_logits, runs[run_side], patch)

"""Everything about a batch that does not change while the masks are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sp_widget.core.ablations import Side, ablate_batch, dataset_mean, prompts
from sp_widget.core.architecture import RunInputs
from sp_widget.core.data import PromptDataLoader, PromptPairBatch
from sp_widget.core.patch import Patch
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.training.config import SubnetworkProbingConfig
from sp_widget.training.figures import in_full_precision
from sp_widget.training.patch_cache import choose_mode, patch_bytes, store


@dataclass(frozen=True)
class PreparedBatch:
    """A batch with its clean logits, its way into block 0 and its patch activations."""

    batch: PromptPairBatch
    clean_logits: Tensor
    """At the model's output positions."""
    inputs: RunInputs
    patch: Callable[[], Patch]


@torch.no_grad()
def prepare_batches(
    model: PatchableModel, dataloader: PromptDataLoader, config: SubnetworkProbingConfig
) -> Iterator[PreparedBatch]:
    """The dataloader's batches, prepared one after the other.

    `tree_optimisation` runs the clean prompts and patches with the corrupt ones; without it
    the other way round.
    """
    architecture = model.engine.architecture
    tree, ablation_type = config.tree_optimisation, config.ablation_type
    run_side: Side = "clean" if tree else "corrupt"
    patch_side: Side = "corrupt" if tree else "clean"
    mean = None
    if ablation_type.mean_over_dataset:
        mean = model.engine.patch(dataset_mean(model, dataloader, ablation_type))
    mode = config.cache
    for batch in dataloader:
        inputs = {}
        for side in (patch_side, run_side):
            inputs[side], logits = architecture.run_inputs(*prompts(batch, side))
            if side == "clean":
                clean_logits = in_full_precision(logits[model.out_slice]).clone()
        if mean is not None:
            patch = store(mean, "device", lambda: mean)
        else:
            attention_mask = prompts(batch, patch_side).attention_mask
            make = _patch_maker(model, inputs[patch_side], config, attention_mask)
            made = make()
            mode = choose_mode(mode, patch_bytes(made) * len(dataloader), model.device)
            patch = store(made, mode, make)
        yield PreparedBatch(batch, clean_logits, inputs[run_side], patch)


def _patch_maker(
    model: PatchableModel,
    inputs: RunInputs,
    config: SubnetworkProbingConfig,
    attention_mask: Tensor | None,
) -> Callable[[], Patch]:
    @torch.no_grad()
    def make() -> Patch:
        sources = model.engine.source_outputs(inputs)
        return model.engine.patch(ablate_batch(sources, config.ablation_type, attention_mask))

    return make

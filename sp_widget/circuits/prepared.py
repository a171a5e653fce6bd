"""Everything about a batch that does not change while the masks are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sp_widget.circuits.ablations import ablate_batch, dataset_mean, prompts
from sp_widget.circuits.metrics import in_full_precision
from sp_widget.circuits.patch_cache import CacheMode, choose_mode, patch_bytes, store
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.engine.protocol import Patch
from sp_widget.models.architecture import RunInputs
from sp_widget.types import AblationType, Side, other_side


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
    model: PatchableModel,
    dataloader: PromptDataLoader,
    *,
    run_side: Side,
    ablation_type: AblationType = AblationType.RESAMPLE,
    cache: CacheMode = "auto",
) -> Iterator[PreparedBatch]:
    """Prepare the dataloader's batches, one after the other.

    `run_side`: the prompts that run through the model; patch activations come from the other
    side of each pair, or are what `ablation_type` makes of it. `cache`: where they wait.

    Raises `ModelChangedError` when any weight has changed since the model was made patchable.
    """
    architecture = model.engine.architecture
    model.check_unchanged()
    patch_side = other_side(run_side)
    mean = None
    if ablation_type.mean_over_dataset:
        mean = model.engine.patch(dataset_mean(model, dataloader, ablation_type))
    mode = cache
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
            make = _patch_maker(model, inputs[patch_side], ablation_type, attention_mask)
            made = make()
            mode = choose_mode(mode, patch_bytes(made) * len(dataloader), model.device)
            patch = store(made, mode, make)
        yield PreparedBatch(batch, clean_logits, inputs[run_side], patch)


def _patch_maker(
    model: PatchableModel,
    inputs: RunInputs,
    ablation_type: AblationType,
    attention_mask: Tensor | None,
) -> Callable[[], Patch]:
    @torch.no_grad()
    def make() -> Patch:
        sources = model.engine.source_outputs(inputs)
        return model.engine.patch(ablate_batch(sources, ablation_type, attention_mask))

    return make

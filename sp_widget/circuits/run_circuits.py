"""Run circuits of given sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from sp_widget.circuits.ablations import ablate_batch, dataset_mean, prompts
from sp_widget.circuits.arguments import (
    check_counts,
    check_model_and_prompts,
    check_scores,
)
from sp_widget.circuits.scores import top_edges
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.engine.protocol import Patch
from sp_widget.errors import require_member
from sp_widget.models.architecture import RunInputs
from sp_widget.types import AblationType, CircuitOutputs, PatchType, other_side


@torch.no_grad()
def run_circuits(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    test_edge_counts: Sequence[int],
    prune_scores: dict[str, Tensor],
    patch_type: PatchType = PatchType.EDGE_PATCH,
    ablation_type: AblationType = AblationType.RESAMPLE,
) -> CircuitOutputs:
    """Outputs of the circuits of the `n` most important edges, for each `n` asked for.

    `EDGE_PATCH`: run the corrupt prompt and patch the circuit's edges with clean activations.
    `TREE_PATCH`: run the clean prompt and ablate every edge outside the circuit.

    Returns, for each number of edges, each batch's logits at `model.out_slice` by batch key.
    The number is the one actually used: circuits are cut by rank, so ties add no edges.

    Raises `ArgumentError` with the name of a bad argument, and `ModelChangedError` when a weight
    has changed since the model was made patchable.
    """
    check_model_and_prompts(model, dataloader)
    check_scores(prune_scores, model.graph)
    counts = check_counts(test_edge_counts, model.n_edges)
    require_member("patch_type", patch_type, PatchType)
    require_member("ablation_type", ablation_type, AblationType)
    run_side = patch_type.run_side
    patch_side = other_side(run_side)
    circuits = {n: top_edges(prune_scores, n) for n in counts}
    outputs: CircuitOutputs = {n: {} for n in circuits}
    flat = [model.graph.flatten(circuit) for circuit in circuits.values()]
    if not circuits:
        return outputs
    model.check_unchanged()
    masks = patch_type.patched(torch.stack(flat))
    engine = model.engine

    mean = None
    if ablation_type.mean_over_dataset:
        mean = dataset_mean(model, dataloader, ablation_type)
    for batch in dataloader:
        inputs, _ = engine.architecture.run_inputs(*prompts(batch, run_side))
        if mean is None:
            given = prompts(batch, patch_side)
            patch_inputs, _ = engine.architecture.run_inputs(*given)
            sources = engine.source_outputs(patch_inputs)
            patch = engine.patch(ablate_batch(sources, ablation_type, given.attention_mask))
        else:
            patch = engine.patch(mean)
        for n, logits in zip(circuits, run_masks(model, masks, inputs, patch), strict=True):
            outputs[n][batch.key] = logits
    return outputs


def run_masks(
    model: PatchableModel, masks: Shaped[Tensor, "n edges"], inputs: RunInputs, patch: Patch
) -> Iterator[Float[Tensor, "batch *positions d_vocab"]]:
    """Yield a batch's logits at `model.out_slice` with each of these rows of masks.

    As many runs go together as one as the engine says.
    """
    n_prompts, at_once = len(inputs.embed), model.engine.runs_at_once(inputs)
    for part in masks.split(at_once):
        together = inputs if len(part) == 1 else inputs.repeated(len(part))
        logits = model.engine.run(part.float(), together, patch, model.out_positions)
        for found in logits.split(n_prompts):
            yield model.sliced(found)

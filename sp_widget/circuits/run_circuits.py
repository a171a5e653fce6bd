"""Run circuits of given sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sp_widget.circuits.ablations import Side, ablate_batch, dataset_mean, prompts
from sp_widget.circuits.arguments import (
    check_counts,
    check_model_and_prompts,
    check_scores,
)
from sp_widget.circuits.scores import top_edges
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.types import AblationType, CircuitOutputs, PatchType


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
    if not isinstance(patch_type, PatchType):
        raise ArgumentError("patch_type", "a member of PatchType", patch_type)
    if not isinstance(ablation_type, AblationType):
        raise ArgumentError("ablation_type", "a member of AblationType", ablation_type)
    edge_patch = patch_type is PatchType.EDGE_PATCH
    run_side: Side = "corrupt" if edge_patch else "clean"
    patch_side: Side = "clean" if edge_patch else "corrupt"
    circuits = {n: top_edges(prune_scores, n) for n in counts}
    outputs: CircuitOutputs = {n: {} for n in circuits}
    flat = [model.graph.flatten(circuit) for circuit in circuits.values()]
    if not circuits:
        return outputs
    masks = torch.stack([on if edge_patch else ~on for on in flat])
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
        n_prompts, at_once = len(inputs.embed), engine.runs_at_once(inputs)
        for start in range(0, len(masks), at_once):
            part = masks[start : start + at_once].float()
            together = inputs if len(part) == 1 else inputs.repeated(len(part))
            logits = engine.run(part, together, patch, model.out_positions)
            for n, found in zip(list(circuits)[start:], logits.split(n_prompts), strict=False):
                outputs[n][batch.key] = model.sliced(found)
    return outputs

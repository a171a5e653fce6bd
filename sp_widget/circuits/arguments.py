"""Whether scores and prompts fit a model: asked once, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import Subset

from sp_widget.data.prompt_tokens import model_limits
from sp_widget.data.prompts import PromptDataLoader, PromptDataset, is_whole_number
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError, shown
from sp_widget.graph.base_graph import BaseGraph
from sp_widget.models.own_copy import refuse_hooks

SCORE_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Of scores: what can be ranked by absolute value, and written to any file."""


def check_model_and_prompts(
    model: object, dataloader: object, name: str = "dataloader"
) -> tuple[PatchableModel, PromptDataLoader]:
    """Return both if the prompts can run through the model.

    Raises `ArgumentError` for what is no patchable model or has hooks; for what is no dataloader
    or has no batch, and for prompts and answers of another model: on another device, outside its
    vocabulary, longer than its context, or of another length than its edges are for.
    """
    model = require_patchable(model)
    refuse_hooks(model.wrapped_model)
    if not isinstance(dataloader, PromptDataLoader):
        raise ArgumentError(name, "a PromptDataLoader", type(dataloader))
    if len(dataloader) == 0:
        raise ArgumentError(name, "at least one batch", "none")
    dataset, rows = _dataset(dataloader)
    limits = model_limits(model.wrapped_model)
    clean, corrupt = dataset.clean_prompts, dataset.corrupt_prompts
    if clean.device != model.device:
        raise ArgumentError(name, f"prompts on the model's device, {model.device}", clean.device)
    prefix = dataloader.prefix
    parts = {"tokens": [clean[rows], corrupt[rows]], "answers": []}
    parts["tokens"] += [] if prefix is None else [prefix]
    for answers in (dataset.answers, dataset.wrong_answers):
        chosen = [answers[row] for row in rows]
        if not chosen[0].dtype.is_floating_point:  # else targets, of any value
            parts["answers"].append(torch.cat([answer.flatten() for answer in chosen]))
    for what, sizes in (("tokens", limits.d_vocab), ("answers", limits.d_vocab_out)):
        highest = max((int(part.max()) for part in parts[what]), default=0)
        if sizes is not None and highest >= sizes:
            raise ArgumentError(name, f"{what} below {sizes}, the model's vocabulary", highest)
    model.graph.check_prompts(clean.shape[1])
    length = clean.shape[1] + (0 if prefix is None else len(prefix))
    if limits.n_positions is not None and length > limits.n_positions:
        wanted = f"prompts of at most {limits.n_positions} tokens, the model's context"
        raise ArgumentError(name, wanted, length)
    return model, dataloader


def _dataset(dataloader: PromptDataLoader) -> tuple[PromptDataset, list[int]]:
    """The dataset behind a loader, and which of its prompts the loader can give."""
    dataset: object = dataloader.dataset
    rows = list(range(len(dataloader.dataset)))  # type: ignore[arg-type]
    while isinstance(dataset, Subset):
        rows, dataset = [dataset.indices[row] for row in rows], dataset.dataset
    assert isinstance(dataset, PromptDataset)
    return dataset, rows


def check_seed(seed: object, name: str = "seed") -> int:
    """Return a seed. Raises `ArgumentError` for what is none."""
    if not is_whole_number(seed) or not 0 <= seed < 2**63:
        raise ArgumentError(name, "a whole number from 0 to 2**63 - 1", seed)
    return seed


def check_scores(
    scores: object, graph: BaseGraph | None = None, name: str = "prune_scores"
) -> Mapping[str, Shaped[Tensor, "*scores"]]:
    """Return the scores if they are a tensor for each destination module (of this graph).

    Raises `ArgumentError` for anything else, and for a score that is NaN, which has no rank. An
    infinite score has one: ACDC gives it to edges that it never removes.
    """
    if not isinstance(scores, Mapping) or not scores:
        raise ArgumentError(name, "a dictionary from module names to tensors", type(scores))
    for module, score in scores.items():
        if not isinstance(module, str) or not isinstance(score, Tensor):
            raise ArgumentError(f"{name}[{shown(module)}]", "a tensor by name", type(score))
        if score.dtype not in SCORE_DTYPES or score.layout != torch.strided or score.is_meta:
            floats = "a dense tensor of floating-point numbers"
            raise ArgumentError(f"{name}[{module!r}]", floats, f"{score.layout}, {score.dtype}")
        if bool(score.isnan().any()):
            raise ArgumentError(f"{name}[{module!r}]", "numbers", "NaN")
    if graph is not None:
        wanted = {module.name: module.mask_shape(graph.seq_len) for module in graph.modules}
        got = {module: tuple(score.shape) for module, score in scores.items()}
        if got != wanted:
            differ = [key for key in wanted | got if wanted.get(key) != got.get(key)]
            raise ArgumentError(
                name,
                f"scores of this model: {differ[0]!r} of shape {wanted.get(differ[0])}",
                got.get(differ[0]),
            )
    return scores


def check_counts(counts: object, n_edges: int | None, name: str = "test_edge_counts") -> list[int]:
    """Return numbers of edges as a list. Raises `ArgumentError` if one is no number of edges."""
    if isinstance(counts, str | Tensor) or not isinstance(counts, Iterable):
        raise ArgumentError(name, "a list of whole numbers", counts)
    return [check_count(count, n_edges, name) for count in counts]


def check_count(count: object, n_edges: int | None, name: str = "n_edges") -> int:
    """Return a number of edges. Raises `ArgumentError` if it is none (of so many at most)."""
    if not is_whole_number(count) or count < 0 or (n_edges is not None and count > n_edges):
        limit = "of at least 0" if n_edges is None else f"from 0 to {n_edges}"
        raise ArgumentError(name, f"a whole number {limit}", count)
    return count

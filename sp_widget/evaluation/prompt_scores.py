"""How each prompt fares in many circuits: the scores that the tests compare."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_count, check_model_and_prompts, check_scores
from sp_widget.circuits.metrics import in_full_precision, logit_diffs
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.run_circuits import run_masks
from sp_widget.circuits.scores import largest
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel, find_edges
from sp_widget.errors import ArgumentError, require_member
from sp_widget.graph.base_graph import Edge
from sp_widget.types import AblationType

Circuit: TypeAlias = Mapping[str, Tensor] | Collection[Edge | str]
"""Prune scores, of which the top edges are the circuit, or its edges (or their names)."""

PromptScore: TypeAlias = Callable[[Tensor, PromptPairBatch], Tensor]
"""From logits at the output positions and their batch to one number a prompt."""

_ROWS_AT_ONCE = 64
"""Circuits that are made before they run: each is a number an edge."""


def prompt_score(logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, " batch"]:
    """Return each prompt's logit difference, or minus its squared error where answers are values.

    Averaged over output positions: the higher, the better.
    """
    answers = batch.answers
    if isinstance(answers, Tensor) and answers.dtype.is_floating_point:
        if answers.shape != logits.shape:
            raise ArgumentError("answers", f"values of shape {tuple(logits.shape)}", answers.shape)
        return -(logits - answers).square().flatten(1).mean(1)
    differences = logit_diffs(logits, batch)
    return differences if differences.dim() == 1 else differences.flatten(1).mean(1)


def circuit_of(
    model: PatchableModel, given: Circuit, n_edges: int | None, name: str
) -> Bool[Tensor, " edges"]:
    """Return the edges of a circuit as a flat mask.

    `given`: prune scores, of which `n_edges` says how many edges, or the edges themselves.
    Raises `ArgumentError` for anything else, and for the circuit of no edge or of all.
    """
    circuit = any_circuit_of(model, given, n_edges, name)
    size = int(circuit.sum())
    if not 0 < size < model.n_edges:
        raise ArgumentError(name, f"a circuit of 1 to {model.n_edges - 1} edges", f"{size} edges")
    return circuit


def any_circuit_of(
    model: PatchableModel, given: Circuit, n_edges: int | None, name: str
) -> Bool[Tensor, " edges"]:
    """Return the edges of a circuit as a flat mask, of no edge and of all edges too.

    Raises `ArgumentError` for what is no circuit of the model.
    """
    if isinstance(given, Mapping):
        scores = model.graph.flatten(dict(check_scores(given, model.graph, name)))
        if n_edges is None:
            raise ArgumentError("n_edges", "the number of edges in the circuit of the scores", None)
        count = check_count(n_edges, model.n_edges)
        return largest(scores.detach().abs().cpu(), count)
    if n_edges is not None:
        raise ArgumentError("n_edges", "None, as the circuit is given by its edges", n_edges)
    circuit = torch.zeros(model.n_edges, dtype=torch.bool)
    circuit[model.graph.flat_index(find_edges(model, given, name))] = True
    return circuit


class PromptScores:
    """Runs circuits on the prompts of a dataloader: the clean prompt, all other edges ablated."""

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        score: PromptScore | None,
        ablation_type: AblationType,
    ) -> None:
        """Prepare the prompts. Raises `ArgumentError` with the name of a bad argument."""
        check_model_and_prompts(model, dataloader)
        require_member("ablation_type", ablation_type, AblationType)
        if score is not None and not callable(score):
            raise ArgumentError("score", "a function of logits and batch, or None", score)
        self._model, self._score = model, prompt_score if score is None else score
        self._batches = list(
            prepare_batches(model, dataloader, run_side="clean", ablation_type=ablation_type)
        )
        self.n_prompts = sum(len(each.clean_logits) for each in self._batches)

    @torch.no_grad()
    def of(
        self, circuits: Iterable[Bool[Tensor, " edges"]], show: Callable[..., None]
    ) -> Float[Tensor, "circuits prompts"]:
        """Return every prompt's score in every circuit; advance the progress bar `show`."""
        rows = [torch.zeros(0, self.n_prompts)]
        for some in _groups(iter(circuits)):
            masks = ~torch.stack(some).to(self._model.device)
            rows.append(torch.cat([self._on(batch, masks) for batch in self._batches], dim=1))
            show("", len(some))
        return torch.cat(rows)

    def _on(self, prepared: PreparedBatch, masks: Tensor) -> Float[Tensor, "circuits batch"]:
        batch = prepared.batch
        runs = run_masks(self._model, masks, prepared.inputs, prepared.patch())
        return torch.stack(
            [self._checked(self._score(in_full_precision(each), batch), batch) for each in runs]
        )

    def _checked(self, scores: object, batch: PromptPairBatch) -> Float[Tensor, " batch"]:
        wanted = (len(batch.clean),)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != wanted:
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores)
            raise ArgumentError("score", f"a function that returns a tensor {wanted}", got)
        return scores.detach().float().cpu()


def _groups(rows: Iterator[Tensor]) -> Iterator[list[Tensor]]:
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        yield some

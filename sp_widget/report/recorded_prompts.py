"""What circuits predict after single prompts, recorded for a page that has no model to ask.

1. Measure what the circuit of the picture loses on the first prompts.
2. Run the whole model on the worst of them, and on their corrupt prompts.
3. Run circuits of several sizes on each of these, the worst first, while there is time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.prepared import prepare_batches
from sp_widget.circuits.scores import largest
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, ModelChangedError
from sp_widget.evaluation.per_prompt import (
    PerPrompt,
    PromptDescription,
    describe_prompts,
    prompt_losses,
    worst_first,
)
from sp_widget.evaluation.predictions import predictions_of
from sp_widget.evaluation.prompt_pair import PairRuns, pair_at, patch_mean
from sp_widget.methods.mask_training import target_for
from sp_widget.report.prompt_data import (
    LOSSES,
    PredictionData,
    PromptData,
    StripData,
    TokenData,
    prompt_data,
    strip_data,
)
from sp_widget.types import AblationType, PatchType

N_MEASURED = 32
"""Prompts among which the worst are looked for: so many batches as hold them."""

N_RECORDED = 8
"""Prompts that are recorded, the worst."""

MOST_SIZES = 24
"""Sizes of circuits that are recorded of each."""

MOST_TOKENS = 256
"""Of a prompt that are recorded, the last ones."""

SECONDS = 5.0
"""After which no other prompt is recorded, and after half of which no other batch is measured; one
of each is, however long it takes."""


class RecordedCircuit(TypedDict):
    """What a circuit predicts."""

    n_edges: int
    n_switched: int
    """Edges that it has or lacks because they were switched by hand."""
    predictions: list[PredictionData]
    kl_div: float


class RecordedPrompt(PromptData):
    """A prompt, and what comes next in circuits of several sizes."""

    tokens: list[TokenData]
    n_left_out: int
    """Tokens before those."""
    whole_model: list[PredictionData]
    corrupt_run: list[PredictionData]
    circuits: list[RecordedCircuit]
    """As they are cut from the scores, the smallest first."""
    edited: RecordedCircuit | None
    """That of the picture, where edges are switched by hand in it."""


class RecordedPrompts(TypedDict):
    """Prompts as the page shows them."""

    prompts: list[RecordedPrompt]
    """The worst first."""
    loss: str
    """What they are sorted by."""
    list_note: str
    """Among how many prompts these are the worst, and for which circuit."""
    in_common: list[str]
    """Plain lines on the worst of all that were measured."""
    n_edges: int
    """Of the circuit of the picture, before its switches."""
    switches: list[str]
    """What is switched by hand in the edited circuits."""
    note: str
    """Why nothing is recorded; empty: something is."""


@dataclass(frozen=True)
class PromptRecorder:
    """Records what circuits predict on the prompts of a dataloader.

    Args:
        model: What `patchable_model` returns.
        dataloader: Prompts whose answers are tokens.
        patch_type: In which direction circuits run.
        ablation_type: What an edge outside the circuit carries.
    """

    model: PatchableModel
    dataloader: PromptDataLoader
    patch_type: PatchType
    ablation_type: AblationType

    def record(
        self,
        importance: Float[Tensor, " edges"],
        n_edges: int,
        sizes: Sequence[int],
        edited: Bool[Tensor, " edges"],
        switches: Sequence[str],
    ) -> RecordedPrompts:
        """Return the worst prompts, and what comes next in circuits of these sizes.

        Args:
            importance: Of all edges in flat order; the largest are the circuit.
            n_edges: The size for which prompts are the worst; recorded too.
            sizes: Other sizes; of more than 24 some that are evenly spread.
            edited: The circuit of `n_edges` edges after what is switched by hand in it.
            switches: What that is, as in `CircuitView.switches`.
        """
        began = time.monotonic()
        n_switched = int((edited ^ largest(importance, n_edges)).sum())
        sizes = sorted({n_edges, *_spread(sorted(set(sizes)), MOST_SIZES - 1)})
        try:
            check_model_and_prompts(self.model, self.dataloader)
            listed = self._worst(importance, n_edges, began + SECONDS / 2)
            circuits = [largest(importance, size) for size in sizes]
            if n_switched:
                circuits.append(edited)
            recorded = self._recorded(listed, circuits, n_switched, began + SECONDS)
            prompts = list(recorded)
        except (ArgumentError, ModelChangedError, torch.OutOfMemoryError) as error:
            return RecordedPrompts(
                prompts=[],
                loss="",
                list_note="",
                in_common=[],
                n_edges=n_edges,
                switches=[],
                note=f"Nothing is recorded of single prompts. {error}",
            )
        return RecordedPrompts(
            prompts=prompts,
            loss=LOSSES[listed.metric],
            list_note=(
                f"{_listed(len(prompts), len(listed.prompts))}, by what the circuit of "
                f"{n_edges:,} edge{'' if n_edges == 1 else 's'} loses."
            ),
            in_common=list(listed.in_common),
            n_edges=n_edges,
            switches=list(switches),
            note="",
        )

    def _worst(self, importance: Float[Tensor, " edges"], n_edges: int, until: float) -> PerPrompt:
        """Return the first prompts, the worst of them first; `until`: of `time.monotonic`."""
        circuit = largest(importance, n_edges)
        losses: list[float] = []
        described: list[PromptDescription] = []
        for prepared in prepare_batches(
            self.model,
            self.dataloader,
            run_side=self.patch_type.run_side,
            ablation_type=self.ablation_type,
            cache="recompute",
        ):
            losses += prompt_losses(self.model, prepared, circuit, self.patch_type)
            described += describe_prompts(
                self.model, self.dataloader, prepared.batch, len(described)
            )
            if len(losses) >= N_MEASURED or time.monotonic() > until:
                break
        return worst_first(described, losses, target_for(self.dataloader) == "mse", n_edges)

    def _recorded(
        self,
        listed: PerPrompt,
        circuits: Sequence[Bool[Tensor, " edges"]],
        n_switched: int,
        until: float,
    ) -> Iterator[RecordedPrompt]:
        """Yield the worst prompts with what comes next; `until`: of `time.monotonic`.

        `n_switched`: edges that are switched by hand in the last circuit; 0: in none.
        """
        mean = patch_mean(self.model, self.ablation_type, self.dataloader)
        for each in listed.prompts[:N_RECORDED]:
            pair = pair_at(self.dataloader, each.place)
            runs = PairRuns(self.model, pair, self.patch_type, self.ablation_type, mean)
            strips = [strip_data(predictions_of(runs, circuit), 0) for circuit in circuits]
            edited = strips.pop() if n_switched else None
            tokens = strips[0]["tokens"]
            yield RecordedPrompt(
                **prompt_data(each),
                tokens=tokens[-MOST_TOKENS:],
                n_left_out=max(0, len(tokens) - MOST_TOKENS),
                whole_model=strips[0]["whole_model"],
                corrupt_run=strips[0]["corrupt_run"],
                circuits=[_circuit(strip, 0) for strip in strips],
                edited=None if edited is None else _circuit(edited, n_switched),
            )
            if time.monotonic() > until:
                break


def _circuit(strip: StripData, n_switched: int) -> RecordedCircuit:
    return RecordedCircuit(
        n_edges=strip["n_edges"],
        n_switched=n_switched,
        predictions=strip["circuit"],
        kl_div=strip["kl_div"],
    )


def _listed(n: int, n_measured: int) -> str:
    if n_measured == 1:
        return "One prompt"
    if n == n_measured:
        return f"All {n} prompts"
    return f"The {'' if n == 1 else f'{n} '}worst of {n_measured:,} prompts"


def _spread(sizes: Sequence[int], most: int) -> list[int]:
    """Return sizes, or of too many `most` that are evenly spread, the first and the last too."""
    if len(sizes) <= most:
        return list(sizes)
    return [sizes[round(place * (len(sizes) - 1) / (most - 1))] for place in range(most)]

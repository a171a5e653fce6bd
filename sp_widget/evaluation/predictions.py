"""What the whole model, a circuit and the corrupt run predict after one prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.metrics import log_probabilities
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.data.token_text import token_text
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.prompt_pair import AnyPair, PairRuns, as_pair, patch_mean
from sp_widget.evaluation.prompt_scores import Circuit, any_circuit_of
from sp_widget.evaluation.result_table import html_table, text_table
from sp_widget.types import AblationType, PatchType, Side

if TYPE_CHECKING:
    from pandas import DataFrame

TOP = 5
"""Tokens that are shown of each run."""

RUNS = ("whole model", "circuit", "corrupt run")


class Prediction(NamedTuple):
    """A token that may come next."""

    token: int
    text: str
    """With the space before it; its number where the model has no tokenizer."""
    probability: float


class PairToken(NamedTuple):
    """One position of a prompt pair."""

    clean: str
    """"" where the prompt has padding."""
    corrupt: str
    differs: bool
    """Whether the prompts have different tokens here."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Predictions:
    """A prompt pair, and the most probable next tokens; made by `predictions`."""

    tokens: tuple[PairToken, ...]
    """The prompts, position by position."""
    whole_model: tuple[Prediction, ...]
    """After the clean prompt; the most probable first."""
    circuit: tuple[Prediction, ...]
    corrupt_run: tuple[Prediction, ...]
    """Of the whole model, after the corrupt prompt."""
    answers: tuple[int, ...]
    """The right tokens; empty: they are not known."""
    kl_div: float
    """KL(whole model ‖ circuit) at the last position, in nats."""
    n_edges: int
    """Edges of the circuit."""

    @property
    def frame(self) -> DataFrame:
        """Return the predictions as a pandas table.

        Columns: `run` ("whole model", "circuit" or "corrupt run"), `rank` (from 1), `token` (its
        number), `text`, `probability`, `answer` (whether it is one).
        """
        import pandas

        rows = [
            (run, rank, *each, each.token in self.answers)
            for run, found in zip(RUNS, self._runs, strict=True)
            for rank, each in enumerate(found, start=1)
        ]
        columns = ["run", "rank", "token", "text", "probability", "answer"]
        return pandas.DataFrame(rows, columns=columns)

    @property
    def _runs(self) -> tuple[tuple[Prediction, ...], ...]:
        return self.whole_model, self.circuit, self.corrupt_run

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            tuple(f"{each.probability:.3f} {each.text!r}" for each in row)
            for row in zip(*self._runs, strict=True)
        ]

    @property
    def _caption(self) -> str:
        clean = "".join(each.clean for each in self.tokens)
        corrupt = "".join(each.corrupt for each in self.tokens)
        return (
            f"Clean: {clean!r}\nCorrupt: {corrupt!r}\n"
            f"Circuit of {self.n_edges:,} edges, KL(whole model ‖ circuit) {self.kl_div:.3g} nats"
        )

    def __repr__(self) -> str:
        return text_table(self._caption, RUNS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._caption, RUNS, self._rows())


def predictions(
    model: PatchableModel,
    pair: AnyPair,
    prune_scores: Circuit,
    n_edges: int | None = None,
    *,
    patch_type: PatchType = PatchType.TREE_PATCH,
    ablation_type: AblationType = AblationType.RESAMPLE,
    dataloader: PromptDataLoader | None = None,
    top: int = TOP,
) -> Predictions:
    """Return what the whole model, a circuit and the corrupt run predict after a prompt.

    All at the last position, whatever positions the output of the model has.

    Args:
        model: What `patchable_model` returns.
        pair: A `PromptPair`, such as `dataloader.dataset[0]`; or a clean and a corrupt text, of as
            many tokens (BOS is put before them where the tokenizer has one).
        prune_scores: Scores, of which the `n_edges` most important edges are the circuit; or the
            edges of the circuit or their names.
        n_edges: Edges of the circuit; `None` where it is given by its edges.
        patch_type: `TREE_PATCH`: the clean prompt runs and all edges outside the circuit are
            ablated. `EDGE_PATCH`: the corrupt prompt runs and the circuit's edges are patched.
        ablation_type: What an ablated edge carries. The mean over a batch is that over this pair.
        dataloader: The prompts over which an ablation takes means, if it does.
        top: How many tokens of each run.

    Raises `ArgumentError` with the name of a bad argument.
    """
    if not is_whole_number(top) or top < 1:
        raise ArgumentError("top", "a whole number of at least 1", top)
    circuit = any_circuit_of(require_patchable(model), prune_scores, n_edges, "prune_scores")
    runs = pair_runs(model, pair, patch_type, ablation_type, dataloader)
    return predictions_of(runs, circuit, top)


def pair_runs(
    model: PatchableModel,
    pair: object,
    patch_type: PatchType,
    ablation_type: AblationType,
    dataloader: PromptDataLoader | None,
) -> PairRuns:
    """Return the runs of a pair. Raises `ArgumentError` with the name of a bad argument."""
    require_patchable(model)
    model.check_unchanged()
    checked = as_pair(model, pair)
    mean = patch_mean(model, ablation_type, dataloader)
    return PairRuns(model, checked, patch_type, ablation_type, mean)


def predictions_of(runs: PairRuns, circuit: Bool[Tensor, " edges"], top: int = TOP) -> Predictions:
    """Return the predictions of a circuit, and those beside it.

    Raises `ArgumentError` where the answers are values: then the output is no distribution.
    """
    answers = runs.pair.answers
    if answers.dtype.is_floating_point:
        raise ArgumentError("pair", "a prompt whose answers are tokens", "answers that are values")
    clean, corrupt = runs.plain_logits("clean"), runs.plain_logits("corrupt")
    inside = runs.circuit_logits(circuit)
    log_p, log_q = log_probabilities(clean), log_probabilities(inside)
    tokenizer = runs.model.tokenizer
    return Predictions(
        tokens=pair_tokens(runs),
        whole_model=_most_probable(tokenizer, clean, top),
        circuit=_most_probable(tokenizer, inside, top),
        corrupt_run=_most_probable(tokenizer, corrupt, top),
        # Where several positions have answers, those of the last one.
        answers=tuple((answers if answers.dim() < 2 else answers[-1]).tolist()),
        kl_div=max(0.0, float((log_p.exp() * (log_p - log_q)).sum())),
        n_edges=int(circuit.sum()),
    )


def pair_tokens(runs: PairRuns) -> tuple[PairToken, ...]:
    """Return the tokens of both prompts, aligned at the last one."""
    tokenizer = runs.model.tokenizer

    def row(side: Side) -> list[int | None]:
        prefix, tokens = runs.tokens(side)
        return [None] * runs.n_padding(side) + prefix + tokens

    def text(token: int | None) -> str:
        return "" if token is None else token_text(tokenizer, token)

    return tuple(
        PairToken(text(clean), text(corrupt), clean != corrupt)
        for clean, corrupt in zip(row("clean"), row("corrupt"), strict=True)
        if (clean, corrupt) != (None, None)
    )


def _most_probable(
    tokenizer: object, logits: Float[Tensor, " d_vocab"], top: int
) -> tuple[Prediction, ...]:
    found = torch.topk(logits.softmax(-1), min(top, len(logits)))
    return tuple(
        Prediction(token, token_text(tokenizer, token), probability)
        for probability, token in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    )

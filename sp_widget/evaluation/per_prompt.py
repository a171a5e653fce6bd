"""How much a circuit loses on each prompt, and what the worst prompts have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.metrics import in_full_precision, log_probabilities
from sp_widget.circuits.prepared import PreparedBatch, prepare_batches
from sp_widget.circuits.run_circuits import run_masks
from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.data.token_text import prompt_text, token_text
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, require_member
from sp_widget.evaluation.prompt_scores import Circuit, any_circuit_of
from sp_widget.evaluation.result_table import html_table, text_table
from sp_widget.methods.mask_training import target_for
from sp_widget.types import AblationType, PatchType

if TYPE_CHECKING:
    from pandas import DataFrame

WORST = 10
"""Prompts that are looked at for what they have in common; a quarter where there are fewer than
forty."""

FEWEST = 8
"""With fewer prompts nothing is said of the worst."""

LEVEL = 0.05
"""Of what would be found at all by chance, all features together (Bonferroni)."""

MOST_LINES = 4

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class PromptDescription:
    """A prompt pair in words."""

    place: int
    """Among the prompts of the dataloader, from 0."""
    clean: str
    corrupt: str
    answers: tuple[str, ...]
    """Empty where the answers are values."""
    wrong_answers: tuple[str, ...]
    words: tuple[tuple[str, str, str], ...]
    """Of each word in the dataloader's `word_idxs`: its name, and its token in both prompts."""


@dataclass(frozen=True, kw_only=True)
class PromptLoss(PromptDescription):
    """What a circuit loses on one prompt."""

    loss: float
    """KL(whole model ‖ circuit) in nats, or the mean squared error where answers are values; a
    mean over output positions."""


@dataclass(frozen=True, kw_only=True, repr=False)
class PerPrompt:
    """What a circuit loses on each prompt; made by `per_prompt`."""

    prompts: tuple[PromptLoss, ...]
    """The worst first."""
    metric: Literal["kl_div", "mse"]
    n_edges: int
    """Edges of the circuit."""

    @property
    def in_common(self) -> tuple[str, ...]:
        """Return in plain lines what the worst prompts have in common, if it is not by chance."""
        return in_common(self.prompts)

    @property
    def frame(self) -> DataFrame:
        """Return a row a prompt as a pandas table, the worst first.

        Columns: `prompt` (its place in the dataloader), the metric (`kl_div` or `mse`), `clean`,
        `corrupt`, `answers`, `wrong_answers` (texts), and one for each word of `word_idxs`.
        """
        import pandas

        rows = [
            {
                "prompt": each.place,
                self.metric: each.loss,
                "clean": each.clean,
                "corrupt": each.corrupt,
                "answers": each.answers,
                "wrong_answers": each.wrong_answers,
                **{name: clean for name, clean, _ in each.words},
            }
            for each in self.prompts
        ]
        return pandas.DataFrame(rows)

    def _table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        caption = (
            f"A circuit of {self.n_edges:,} edges on {len(self.prompts):,} prompts, worst first"
        )
        rows: list[tuple[str, ...]] = [
            (f"{each.loss:.3g}", repr(each.clean), " / ".join(map(repr, each.answers)))
            for each in self.prompts[:_SHOWN]
        ]
        return caption, (self.metric, "clean prompt", "answers"), rows

    def __repr__(self) -> str:
        return "\n".join([text_table(*self._table()), "", *self.in_common])

    def _repr_html_(self) -> str:
        # As a table, whose cells are escaped.
        lines = html_table("In common", ("",), [(line,) for line in self.in_common])
        return html_table(*self._table()) + lines


def per_prompt(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    prune_scores: Circuit,
    n_edges: int | None = None,
    *,
    patch_type: PatchType = PatchType.TREE_PATCH,
    ablation_type: AblationType = AblationType.RESAMPLE,
) -> PerPrompt:
    """Return what a circuit loses on each prompt of a dataloader, the worst first.

    The loss is KL(whole model ‖ circuit) in nats, or the mean squared error where answers are
    values: its mean over the prompts is what `evaluate` reports of the circuit.

    Args:
        model: What `patchable_model` returns.
        dataloader: Prompts, best those that no training has seen.
        prune_scores: Scores, of which the `n_edges` most important edges are the circuit; or the
            edges of the circuit or their names.
        n_edges: Edges of the circuit; `None` where it is given by its edges.
        patch_type: `TREE_PATCH`: the clean prompt runs and all edges outside the circuit are
            ablated. `EDGE_PATCH`: the corrupt prompt runs and the circuit's edges are patched.
        ablation_type: What an ablated edge carries.

    Raises `ArgumentError` with the name of a bad argument.
    """
    check_model_and_prompts(model, dataloader)
    require_member("patch_type", patch_type, PatchType)
    require_member("ablation_type", ablation_type, AblationType)
    circuit = any_circuit_of(model, prune_scores, n_edges, "prune_scores")
    batches = prepare_batches(
        model,
        dataloader,
        run_side=patch_type.run_side,
        ablation_type=ablation_type,
        cache="recompute",
    )
    losses: list[float] = []
    described: list[PromptDescription] = []
    for batch in batches:
        losses += prompt_losses(model, batch, circuit, patch_type)
        described += describe_prompts(model, dataloader, batch.batch, len(described))
    return worst_first(described, losses, target_for(dataloader) == "mse", int(circuit.sum()))


@torch.no_grad()
def prompt_losses(
    model: PatchableModel,
    prepared: PreparedBatch,
    circuit: Bool[Tensor, " edges"],
    patch_type: PatchType,
) -> list[float]:
    """Return what a circuit loses on each prompt of a batch."""
    masks = patch_type.patched(circuit).to(model.device).unsqueeze(0)
    (logits,) = run_masks(model, masks, prepared.inputs, prepared.patch())
    logits, answers = in_full_precision(logits), prepared.batch.answers
    losses: Float[Tensor, "batch *positions"]
    if isinstance(answers, Tensor) and answers.is_floating_point():
        if answers.shape != logits.shape:
            raise ArgumentError("answers", f"values of shape {tuple(logits.shape)}", answers.shape)
        losses = (logits - answers).square().mean(-1)
    else:
        log_p, log_q = log_probabilities(prepared.clean_logits), log_probabilities(logits)
        # No divergence is negative, but rounding errors are.
        losses = (log_p.exp() * (log_p - log_q)).sum(-1).clamp(min=0)
    found: list[float] = losses.reshape(len(logits), -1).mean(1).tolist()
    return found


def describe_prompts(
    model: PatchableModel, dataloader: PromptDataLoader, batch: PromptPairBatch, first: int
) -> Iterator[PromptDescription]:
    """Yield the prompts of a batch in words; `first`: the place of its first prompt."""
    tokenizer = model.tokenizer
    sides = [_rows(batch.clean, batch.clean_attention_mask)]
    sides.append(_rows(batch.corrupt, batch.corrupt_attention_mask))
    prefix = [] if batch.prefix is None else batch.prefix.tolist()
    for place, (clean, corrupt) in enumerate(zip(*sides, strict=True)):
        whole = [[*prefix, *clean], [*prefix, *corrupt]]
        yield PromptDescription(
            place=first + place,
            clean=prompt_text(tokenizer, whole[0]),
            corrupt=prompt_text(tokenizer, whole[1]),
            answers=_texts(tokenizer, batch.answers[place]),
            wrong_answers=_texts(tokenizer, batch.wrong_answers[place]),
            words=tuple(
                (name, token_text(tokenizer, whole[0][at]), token_text(tokenizer, whole[1][at]))
                for name, at in dataloader.word_idxs.items()
                if at < min(map(len, whole))
            ),
        )


def _rows(tokens: Tensor, mask: Tensor | None) -> list[list[int]]:
    """Return prompts without their padding."""
    rows = tokens.as_subclass(Tensor)
    if mask is None:
        return [row.tolist() for row in rows]
    return [row[real.bool()].tolist() for row, real in zip(rows, mask, strict=True)]


def _texts(tokenizer: object, answers: Tensor) -> tuple[str, ...]:
    if answers.is_floating_point():
        return ()
    return tuple(
        dict.fromkeys(token_text(tokenizer, token) for token in answers.flatten().tolist())
    )


def worst_first(
    described: Sequence[PromptDescription], losses: Iterable[float], values: bool, n_edges: int
) -> PerPrompt:
    """Return prompts with what they lose. `values`: whether the answers are."""
    found = [
        PromptLoss(**vars(each), loss=loss) for each, loss in zip(described, losses, strict=True)
    ]
    return PerPrompt(
        prompts=tuple(sorted(found, key=lambda each: -each.loss)),
        metric="mse" if values else "kl_div",
        n_edges=n_edges,
    )


def in_common(prompts: Sequence[PromptLoss]) -> tuple[str, ...]:
    """Return in plain lines what the worst prompts have in common; the worst come first.

    Looks at answers, wrong answers and the words of `word_idxs`. A token is named where it is more
    frequent among the worst than in as many prompts drawn from all: the tail of the hypergeometric
    distribution is below 5%, corrected for the number of tokens looked at.
    """
    n = len(prompts)
    if n < FEWEST:
        return ()
    n_worst = min(WORST, n // 4)
    # Tokens that stand for the same prompts are one finding: in a sentence with a name twice, both.
    having: dict[tuple[str, frozenset[int]], list[str]] = {}
    for (label, text), having_it in _features(prompts).items():
        having.setdefault((text, frozenset(having_it)), []).append(label)
    tested = {key: labels for key, labels in having.items() if 1 < len(key[1]) < n}
    found = []
    for (text, places), labels in tested.items():
        among = sum(place < n_worst for place in places)
        p = _tail(n, len(places), n_worst, among)
        if among > 1 and p * len(tested) < LEVEL:
            found.append((p, -among, text, labels, len(places)))
    mean = sum(each.loss for each in prompts) / n
    worst = sum(each.loss for each in prompts[:n_worst]) / n_worst
    lines = [f"The {n_worst} worst prompts lose {worst:.3g} on average, all {n:,} lose {mean:.3g}."]
    for _, minus_among, text, labels, n_all in sorted(found)[:MOST_LINES]:
        lines.append(
            f"{-minus_among} of the {n_worst} worst have {text!r} as {_listed(labels)}, "
            f"{n_all:,} of all {n:,} do."
        )
    if not found:
        lines.append(
            "No answer and no named word is more frequent among them than chance explains."
        )
    return tuple(lines)


def _features(prompts: Sequence[PromptLoss]) -> Mapping[tuple[str, str], list[int]]:
    """Return in which prompts each answer and each named word has which text."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, each in enumerate(prompts):
        features = [("answer", text) for text in each.answers]
        features += [("wrong answer", text) for text in each.wrong_answers]
        for name, clean, corrupt in each.words:
            features.append((name, clean))
            if corrupt != clean:
                features.append((f"{name} of the corrupt prompt", corrupt))
        for feature in dict.fromkeys(features):
            found.setdefault(feature, []).append(place)
    return found


def _tail(n: int, n_having: int, n_drawn: int, at_least: int) -> float:
    """Return the probability that so many of those drawn, or more, are among those having it."""
    most = min(n_having, n_drawn)
    ways = sum(
        comb(n_having, k) * comb(n - n_having, n_drawn - k) for k in range(at_least, most + 1)
    )
    return ways / comb(n, n_drawn)


def _listed(labels: Sequence[str]) -> str:
    *first, last = labels
    return f"{', '.join(first)} and {last}" if first else last

"""ACDC: remove edges one by one, from the output backwards, as long as little is lost.

After Conmy et al. 2023 (arXiv 2304.14997). For a threshold τ, starting with the whole model: ablate
an edge on top of what is ablated already; if faithfulness rises by less than τ it stays ablated.
As in auto-circuit several thresholds are run, each from the whole model, on the first batch, and
the score of an edge is the smallest threshold at which it was removed, infinite where it never was.

Edges into a destination change nothing before its block, so a run is resumed there. Several edges
are tried in one run, a row each. Each row guesses which of the edges before it are removed: those
whose loss rose by less than τ when they were tried last, and those that were never tried. Where a
guess was wrong, the rows behind it are tried again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.metrics import in_full_precision
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import Method, MethodConfig, Trainer, settings_of
from sp_widget.methods.parameter import MOST_NUMBERS, numbers
from sp_widget.methods.series import EDGES, Series, term

_MOST_AT_ONCE = 8
"""Edges that are tried together, at most: of more, too many are tried in vain."""

_LARGEST = 100.0
"""Base or exponent of a threshold."""


@dataclass(frozen=True, kw_only=True)
class AcdcConfig(MethodConfig):
    """Which thresholds to run.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    thresholds: tuple[float, ...] = numbers(
        (0.001, 0.003, 0.01, 0.03, 0.1),
        "Thresholds",
        "An edge is removed if faithfulness rises by less than this. Each threshold is a run of "
        "its own, from the whole model; a larger one removes more.",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "thresholds", tuple(sorted(set(self.thresholds))))


class Acdc(Trainer[AcdcConfig]):
    """Runs the thresholds, from the largest to the smallest; a step is one destination."""

    title = "ACDC"
    Config = AcdcConfig

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        config: AcdcConfig | None = None,
        validation_dataloader: PromptDataLoader | None = None,
    ) -> None:
        super().__init__(model, dataloader, config, validation_dataloader)
        self._thresholds = sorted(self.config.thresholds, reverse=True)
        self._groups = edges_by_destination(model)
        self.tensors["removed_at"] = torch.full((model.n_edges,), torch.inf, device=model.device)
        self.tensors["removed"] = torch.zeros(model.n_edges, device=model.device)
        # One number after another: the host decides by them.
        self.tensors["faithfulness"] = torch.zeros((), dtype=torch.float64)
        self.tensors["rises"] = torch.full((model.n_edges,), -torch.inf, dtype=torch.float64)
        """By how much the loss rose when the edge was tried last."""
        self.tensors["ahead"] = torch.full((model.n_edges,), torch.nan, dtype=torch.float64)
        """The loss without the edge and those that were guessed to be removed before it; NaN where
        it was not tried, or the guesses were wrong."""
        self.tensors["guesses"] = torch.zeros(model.n_edges)
        self._resumable: tuple[int, Any] | None = None
        """The threshold that a resumable run belongs to, and that run."""

    @property
    def n_steps(self) -> int:
        """Thresholds times destinations."""
        return len(self._thresholds) * len(self._groups)

    @torch.no_grad()
    def make_step(self, step: int) -> dict[str, Tensor | float]:
        """Try every edge into one destination."""
        round_, index = divmod(step - 1, len(self._groups))
        threshold = self._thresholds[round_]
        removed, faithfulness = self.tensors["removed"], self.tensors["faithfulness"]
        if index == 0:
            removed.zero_()
            faithfulness.zero_()
            self.tensors["ahead"].fill_(torch.nan)
        run = self._run_from(round_, removed)
        candidates = self._groups[index].tolist()
        for place, edge in enumerate(candidates):
            if self.tensors["ahead"][edge].isnan():
                self._try_ahead(run, self._from(index, place), threshold)
            value = self.tensors["ahead"][edge].item()
            rise = value - faithfulness.item()
            self.tensors["rises"][edge] = rise
            is_removed = rise < threshold
            if is_removed:
                removed[edge] = 1
                faithfulness.fill_(value)
                self.tensors["removed_at"][edge] = threshold
            if is_removed != bool(self.tensors["guesses"][edge]):
                self.tensors["ahead"].fill_(torch.nan)
        return {
            "loss": faithfulness.clone(),
            "threshold": threshold,
            "removed": removed.sum(),
        }

    def tensors_were_put_back(self) -> None:
        """Forget the resumable run, which knows what was removed."""
        self._resumable = None

    def _run_from(self, round_: int, removed: Tensor) -> Any:
        if self._resumable is None or self._resumable[0] != round_:
            here = self.batches[0]
            run = self.model.engine.resumable(
                removed.clone(), here.inputs, here.patch(), self.model.out_positions
            )
            self._resumable = (round_, run)
        return self._resumable[1]

    def _from(self, index: int, place: int) -> list[int]:
        """Return the edges to try next, from a place in a group on."""
        at_once = min(_MOST_AT_ONCE, self.model.engine.runs_at_once(self.batches[0].inputs))
        edges: list[int] = []
        for group in self._groups[index:]:
            edges += group[place : place + at_once - len(edges)].tolist()
            place = 0
            if len(edges) == at_once:
                break
        return edges

    def _try_ahead(self, run: Any, tried: list[int], threshold: float) -> None:
        """Measure the loss without each of these edges, the first of which is next."""
        here = self.batches[0]
        guesses = self.tensors["rises"][tried] < threshold
        removed = self.tensors["removed"]
        rows = removed.repeat(len(tried), 1)
        for row, (edge, guess) in enumerate(zip(tried, guesses.tolist(), strict=True)):
            rows[row if not guess else slice(row, None), edge] = 1
        run.keep(removed)
        logits = in_full_precision(self.model.sliced(run.run(rows).flatten(0, 1)))
        measured = torch.vmap(self.faithfulness, in_dims=(0, None))(
            logits.unflatten(0, (len(tried), -1)), here
        )
        self.tensors["ahead"].fill_(torch.nan)
        self.tensors["ahead"][tried] = measured.to("cpu", torch.float64)
        self.tensors["guesses"][tried] = guesses.float()

    def faithfulness(self, logits: Tensor, here: PreparedBatch) -> Float[Tensor, ""]:
        """Return the chosen faithfulness; `mse` is that to the clean logits, as in auto-circuit."""
        if self.config.faithfulness_target == "mse":
            return (logits - here.clean_logits).square().mean()
        return super().faithfulness(logits, here)

    def scores(self) -> Float[Tensor, " edges"]:
        """Return the smallest threshold so far at which each edge was removed; inf: at none."""
        return self.tensors["removed_at"]

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return what is left of the model in the threshold under way."""
        return self.tensors["removed"] == 0


def edges_by_destination(model: PatchableModel) -> list[Int[Tensor, " edges"]]:
    """Return the flat places of the edges into each destination, from the output backwards.

    Within a destination the sources come from the last to the first. With edges of each position,
    those of all positions of a destination stand together.
    """
    graph = model.graph
    places = graph.split(torch.arange(model.n_edges))
    groups = []
    for module in reversed(graph.modules):
        shaped = places[module.name].view(graph.n_positions, len(module.rows), module.n_sources)
        groups += [shaped[:, row].flip(-1).flatten() for row in reversed(range(len(module.rows)))]
    return groups


def acdc_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    tao_exps: Sequence[int] = tuple(range(-5, -1)),
    tao_bases: Sequence[float] = (1, 3, 5, 7, 9),
    faithfulness_target: Any = "kl_div",
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Return for every edge the smallest threshold at which ACDC removes it; inf: never.

    After Conmy et al. 2023 (arXiv 2304.14997); signature as in auto-circuit: the thresholds are
    `base * 10**exp` of all `tao_bases` and `tao_exps`. Only the first batch is used. `settings` are
    further fields of `AcdcConfig`. `official_edges` is not used.

    Raises `ArgumentError` for a bad argument.
    """
    check_model_and_prompts(model, dataloader)
    bases = _numbers("tao_bases", tao_bases, at_least=1 / _LARGEST)
    exps = _numbers("tao_exps", tao_exps, at_least=-_LARGEST)
    thresholds = tuple(base * 10.0**exp for base, exp in itertools.product(bases, exps))
    config = settings_of(
        AcdcConfig,
        {"thresholds": thresholds, "faithfulness_target": faithfulness_target, **settings},
    )
    trainer = Acdc(model, dataloader, config, validation_dataloader)
    return trainer.run(progress=progress)


def _numbers(name: str, given: object, at_least: float) -> list[float]:
    """Return the bases or exponents of thresholds: such that a float holds every threshold."""
    wanted = f"a list of 1 to {MOST_NUMBERS} numbers from {at_least:g} to {_LARGEST:g}"
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise ArgumentError(name, wanted, given)
    good = all(
        isinstance(each, int | float)
        and not isinstance(each, bool)
        and at_least <= each <= _LARGEST
        for each in given[:MOST_NUMBERS]
    )
    if not good or not 1 <= len(given) <= MOST_NUMBERS:
        raise ArgumentError(name, wanted, given)
    return list(given)


METHOD = Method(
    name="acdc",
    title=Acdc.title,
    summary="Removes edge after edge from the output backwards: the method to watch.",
    Config=AcdcConfig,
    trainer=Acdc,
    series=(
        Series("Loss of what is left", lambda r: r.loss, "left", "#2a7fd4", "solid", 2.0),
        Series("Threshold", term("threshold"), "left", "#8b6fd0", "dotted", 2.5),
        EDGES,
    ),
)

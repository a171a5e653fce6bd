"""ACDC: remove edges one by one, from the output backwards, as long as little is lost.

After Conmy et al. 2023 (arXiv 2304.14997). For a threshold τ, starting with the whole model: ablate
an edge on top of what is ablated already; if faithfulness rises by less than τ it stays ablated.
As in auto-circuit several thresholds are run, each from the whole model, on the first batch, and
the score of an edge is the smallest threshold at which it was removed, infinite where it never was.

Edges into a destination change nothing before its block, so a run is resumed there. Several edges
are tried in one run: the i-th row also has the i − 1 before it ablated, as it must be if all of
these are removed. What stands behind the first that is not removed is tried again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.metrics import in_full_precision
from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import Method, MethodConfig, Trainer, settings_of
from sp_widget.methods.parameter import numbers
from sp_widget.methods.series import EDGES, Series, term

_MOST_AT_ONCE = 64


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
        self.tensors["faithfulness"] = torch.zeros((), device=model.device, dtype=torch.float64)
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
        run = self._run_from(round_, removed)
        candidates = self._groups[index].tolist()
        at_once = 1
        while candidates:
            tried = candidates[: min(at_once, _MOST_AT_ONCE)]
            measured = self._faithfulness_of(run, removed, tried)
            n_removed = 0
            for edge, value in zip(tried, measured, strict=True):
                if value - faithfulness.item() >= threshold:
                    break
                n_removed += 1
                removed[edge] = 1
                faithfulness.fill_(value)
                self.tensors["removed_at"][edge] = threshold
            stopped = n_removed < len(tried)
            # The edge at which it stopped stays, and is tried no more.
            candidates = candidates[n_removed + stopped :]
            at_once = max(1, at_once // 2) if stopped else 2 * at_once
        run.keep(removed)
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

    def _faithfulness_of(
        self, run: Any, removed: Float[Tensor, " edges"], tried: Sequence[int]
    ) -> list[float]:
        """Return the faithfulness with the first, the first two, … of these edges ablated too."""
        rows = removed.repeat(len(tried), 1)
        for row, edge in enumerate(tried):
            rows[row:, edge] = 1
        here = self.batches[0]
        return [
            self.faithfulness(in_full_precision(self.model.sliced(logits)), here).item()
            for logits in run.run(rows)
        ]

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
    thresholds = tuple(base * 10.0**exp for base, exp in itertools.product(tao_bases, tao_exps))
    config = settings_of(
        AcdcConfig,
        {"thresholds": thresholds, "faithfulness_target": faithfulness_target, **settings},
    )
    trainer = Acdc(model, dataloader, config, validation_dataloader)
    return trainer.run(progress=progress)


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

"""How well prune scores find the edges, or the nodes, of a known circuit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from sp_widget.circuits.arguments import check_scores
from sp_widget.engine.patchable_model import PatchableModel, find_edges, require_patchable
from sp_widget.errors import ArgumentError, require_word
from sp_widget.graph.base_graph import BaseGraph, Edge

Per: TypeAlias = Literal["edge", "node"]
"""What is found or not: every edge, or every node (what writes to the residual stream, and the
end). A node is known if a known edge leaves it or leads into it, and as important as the most
important of its edges."""


@dataclass(frozen=True, eq=False)
class RocCurve:
    """True against false positives: a point for every different score, from (0, 0) to (1, 1)."""

    n_chosen: Int[Tensor, " points"]
    """How many edges (or nodes) score at least as high."""
    false_positive_rate: Float[Tensor, " points"]
    true_positive_rate: Float[Tensor, " points"]

    @property
    def area(self) -> float:
        """The chance that a known edge scores above another one, ties counted half."""
        return float(torch.trapezoid(self.true_positive_rate, self.false_positive_rate))


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision against recall: a point for every different score, the highest first."""

    n_chosen: Int[Tensor, " points"]
    """How many edges (or nodes) score at least as high."""
    precision: Float[Tensor, " points"]
    """Share of those chosen that are known."""
    recall: Float[Tensor, " points"]
    """Share of the known that are chosen."""

    @property
    def average_precision(self) -> float:
        """Σ (R_i - R_{i-1}) P_i. By guessing it is the share of edges that are known."""
        gained = self.recall.diff(prepend=self.recall.new_zeros(1))
        return float((gained * self.precision).sum())


def auroc(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Iterable[Edge | str],
    per: Per = "edge",
) -> float:
    """Return the area under the ROC curve of importance (absolute score) against known edges.

    The chance that a known edge scores above an edge outside the circuit, ties counted half:
    1.0 is perfect, 0.5 is guessing. `official_edges`: edges or their names. `per`: count edges, or
    nodes. Raises `ArgumentError` with the name of a bad argument.
    """
    return roc_curve(model, prune_scores, official_edges, per).area


def roc_curve(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Iterable[Edge | str],
    per: Per = "edge",
) -> RocCurve:
    """Return true against false positive rates, for circuits of all sizes.

    Arguments and errors are those of `auroc`.
    """
    counts = _counts(model, prune_scores, official_edges, per)
    zero = counts.known.new_zeros(1)
    known, others = torch.cat((zero, counts.known)), torch.cat((zero, counts.others))
    return RocCurve(known + others, others.double() / others[-1], known.double() / known[-1])


def precision_recall(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Iterable[Edge | str],
    per: Per = "edge",
) -> PrecisionRecall:
    """Return precision against recall, for circuits of all sizes.

    Where few edges are known it says more than the ROC curve, which counts all the others that are
    rightly left out. Arguments and errors are those of `auroc`.
    """
    known, others = _counts(model, prune_scores, official_edges, per)
    chosen = known + others
    return PrecisionRecall(chosen, known.double() / chosen, known.double() / known[-1])


class _Counts(NamedTuple):
    """Of those that score at least as high as each different score, the highest score first."""

    known: Int[Tensor, " scores"]
    others: Int[Tensor, " scores"]


def _counts(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    official_edges: Iterable[Edge | str],
    per: Per,
) -> _Counts:
    require_patchable(model)
    check_scores(prune_scores, model.graph)
    require_word("per", per, ("edge", "node"))
    places = model.graph.flat_index(find_edges(model, official_edges, "official_edges"))
    known = torch.zeros(model.n_edges, dtype=torch.bool)
    known[places] = True
    importance = model.graph.flatten(dict(prune_scores)).abs().cpu()
    if per == "node":
        known, importance = _by_node(model.graph, known), _by_node(model.graph, importance)
    n_known = int(known.sum())
    if n_known in (0, len(known)):
        wanted = f"some but not all of the {len(known)} {per}s"
        raise ArgumentError("official_edges", wanted, n_known)
    _, group = (-importance).unique(return_inverse=True)
    of_known = group[known].bincount(minlength=int(group.max()) + 1)
    return _Counts(of_known.cumsum(0), (group.bincount() - of_known).cumsum(0))


def _by_node(graph: BaseGraph, values: Shaped[Tensor, " edges"]) -> Shaped[Tensor, " nodes"]:
    """Return for each source, and for the end, the largest value of the edges that touch it.

    An edge touches its source, and what its destination helps to compute.
    """
    largest = torch.zeros(len(graph.srcs) + 1, dtype=values.dtype)
    split = graph.split(values)
    for module in graph.modules:
        rows = (
            split[module.name].view(graph.n_positions, len(module.rows), module.n_sources).amax(0)
        )
        sources = slice(module.srcs.start, module.srcs.stop)
        largest[sources] = largest[sources].maximum(rows.amax(0))
        for row, value in zip(module.rows, rows.amax(1), strict=True):
            for feed in graph.feeds[row]:
                fed = slice(feed.srcs.start, feed.srcs.stop)
                largest[fed] = largest[fed].maximum(value)
            if row == graph.end_row:
                largest[-1] = largest[-1].maximum(value)
    return largest

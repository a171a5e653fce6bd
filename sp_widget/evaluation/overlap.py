"""How much two circuits have in common, beside what chance would give them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sp_widget.circuits.arguments import check_count, check_scores
from sp_widget.circuits.scores import flat_importance, largest
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.result_table import html_table, in_words, text_table

NULL = "Each of the two circuits is a random choice of that many edges, whatever the other is."


@dataclass(frozen=True, kw_only=True, repr=False)
class Overlap:
    """What the circuits of the highest scores of two rankings share."""

    n_edges: int
    """Edges of each circuit."""
    of: int
    """Edges of the model."""
    shared: int
    expected: float
    """Shared edges of two random circuits of this size: n² ÷ N."""
    p: float
    """The chance of two random circuits to share as many edges, or more (hypergeometric)."""
    jaccard: float
    """Shared edges ÷ edges in either."""
    chance_jaccard: float
    """That of random circuits: K ÷ (2 − K), for a share K of all edges."""
    spearman: float
    """Rank correlation of the absolute scores of all edges; NaN where one ranks nothing."""

    def _rows(self) -> list[tuple[str, str, str]]:
        return [
            ("Shared edges", f"{self.shared:,} of {self.n_edges:,}", f"{self.expected:.3g}"),
            ("Jaccard", f"{self.jaccard:.3f}", f"{self.chance_jaccard:.3f}"),
            ("Spearman of absolute scores", f"{self.spearman:.3f}", "0"),
        ]

    @property
    def _caption(self) -> str:
        return (
            f"Overlap of two circuits of {self.n_edges:,} of {self.of:,} edges, "
            f"p = {in_words(self.p)}. Null: {NULL}"
        )

    def __repr__(self) -> str:
        return text_table(self._caption, ("", "found", "by chance"), self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._caption, ("", "found", "by chance"), self._rows())


def overlap(a: Mapping[str, Tensor], b: Mapping[str, Tensor], n_edges: int) -> Overlap:
    """Compare the circuits of the `n_edges` highest scores of two rankings of the same edges.

    `a`, `b`: prune scores of one model, or of two models with the same graph.

    Raises `ArgumentError` with the name of a bad argument.
    """
    check_scores(a, name="a")
    check_scores(b, name="b")
    shapes = {name: tuple(score.shape) for name, score in a.items()}
    if {name: tuple(score.shape) for name, score in b.items()} != shapes:
        raise ArgumentError("b", "scores of the same edges as a", list(b))
    first = flat_importance(a).detach().cpu()
    second = flat_importance({name: b[name] for name in a}).detach().cpu()
    of = len(first)
    size = check_count(n_edges, of)
    if size == 0:
        raise ArgumentError("n_edges", "at least 1", n_edges)
    from scipy.stats import hypergeom

    shared = int((largest(first, size) & largest(second, size)).sum())
    return Overlap(
        n_edges=size,
        of=of,
        shared=shared,
        expected=size**2 / of,
        p=float(hypergeom.sf(shared - 1, of, size, size)),
        jaccard=shared / (2 * size - shared),
        chance_jaccard=chance_jaccard(size, of),
        spearman=_spearman(first, second),
    )


def chance_jaccard(n_edges: int, of: int) -> float:
    """Return K ÷ (2 − K), what two random circuits of a share K of all edges have in common."""
    share = n_edges / of
    return share / (2 - share)


def _spearman(a: Tensor, b: Tensor) -> float:
    from scipy.stats import spearmanr

    if (a == a[0]).all() or (b == b[0]).all():
        return math.nan
    return float(spearmanr(a.numpy(), b.numpy()).statistic)

"""What an evaluation found: a table of every circuit that was run, and the areas of its curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from sp_widget.errors import StateError
from sp_widget.evaluation import areas
from sp_widget.types import AblationType, PatchType

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

Kind: TypeAlias = Literal[
    "circuit",
    "complement",
    "random",
    "random_within_layers",
    "top_share",
    "signed_top_share",
]
"""The last two: of largest absolute and of largest signed score, at MIB's shares, without the edges
that are on no path."""

AT_SHARES: tuple[Kind, ...] = ("top_share", "signed_top_share")

COLUMNS = ("circuit", "ablation", "size", "draw", "edges", "edges_on_paths", "metric", "value")


class Measured(NamedTuple):
    """One circuit that was run on all prompts."""

    circuit: Kind
    ablation: AblationType
    size: int
    """Edges of the circuit that it is, is the complement of, or is compared with."""
    draw: int | None
    """Which of the random circuits."""
    edges: int
    """Edges that were left as they are."""
    edges_on_paths: int
    """Those of them that lie on a path from the prompt to the logits that count."""
    values: dict[str, float]
    """Metric to its mean over the prompts."""


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation:
    """Circuits of many sizes, measured on prompts; made by `evaluate`."""

    measured: tuple[Measured, ...]
    n_edges: int
    """Edges of the model."""
    n_prompts: int
    n_circuits: int
    """Circuits that were asked for; more than were measured if somebody interrupted."""
    metrics: tuple[str, ...]
    ablations: tuple[AblationType, ...]
    patch_type: PatchType
    seed: int
    """What the random circuits were drawn with."""

    @property
    def complete(self) -> bool:
        """Whether all circuits were measured: `False` after an interrupt."""
        return len(self.measured) == self.n_circuits

    @cached_property
    def frame(self) -> DataFrame:
        """A row for every circuit and metric, as a pandas table.

        Columns: `circuit` (`"circuit"`, `"complement"`, `"random"` or `"random_within_layers"`),
        `ablation` (name), `size` (edges of the circuit), `draw` (which of the random circuits),
        `edges` (left as they are; of a complement all but `size`), `edges_on_paths` (those of them
        on a path from the prompt to the logits), `metric`, `value` (mean over the prompts).
        """
        import pandas

        rows: list[tuple[Any, ...]] = []
        for found in self.measured:
            if found.circuit not in AT_SHARES:
                about = (found.circuit, found.ablation.name, *found[2:6])
                rows += [(*about, metric, value) for metric, value in self._values(found).items()]
        frame = pandas.DataFrame(rows, columns=list(COLUMNS))
        return frame.astype({"draw": "Int64"})

    def curve(
        self,
        metric: str = "kl_div",
        circuit: Kind = "circuit",
        ablation: AblationType | None = None,
    ) -> list[tuple[int, float]]:
        """Return size and value of each circuit of a kind, in the order of sizes.

        Of random circuits the mean of all draws. `ablation`: by default the first one.
        """
        by_size = self._by_size(metric, circuit, ablation)
        return [(size, sum(each) / len(each)) for size, each in by_size.items()]

    def band(
        self,
        metric: str = "kl_div",
        circuit: Kind = "random",
        ablation: AblationType | None = None,
    ) -> list[tuple[int, float, float]]:
        """Return size, lowest and highest value of the random circuits, in the order of sizes."""
        by_size = self._by_size(metric, circuit, ablation)
        return [(size, min(each), max(each)) for size, each in by_size.items()]

    def log_area(
        self,
        metric: str = "kl_div",
        circuit: Kind = "circuit",
        ablation: AblationType | None = None,
    ) -> float:
        """Return the mean of a metric over ln k, from 1 edge to all, by trapezoids.

        Raises `StateError` where the metric was not measured at both ends.
        """
        curve = [(size, value) for size, value in self.curve(metric, circuit, ablation) if size]
        sizes = [size for size, _ in curve]
        values = [value for _, value in curve]
        if metric not in self.metrics or not sizes or (sizes[0], sizes[-1]) != (1, self.n_edges):
            raise self._missing(metric)
        return areas.log_area(sizes, values)

    @property
    def log_kl(self) -> float:
        """The mean over ln k of KL(model || circuit), from one edge to all: smaller is better.

        In nats, with the first of the ablations. Of all areas the one that sees small circuits.
        Raises `StateError` where the KL divergence was not measured.
        """
        return self.log_area("kl_div")

    @property
    def acc_auc(self) -> float:
        """The mean over ln P of the share of prompts with a positive logit difference.

        Over MIB's shares of edges P, from .001 to 1, by trapezoids. Larger is better. Raises
        `StateError` where it was not measured.
        """
        return areas.acc_auc(self._at_shares("positive_logit_diff", "top_share"))

    @property
    def cpr(self) -> float:
        """MIB's circuit performance ratio, of the edges of largest signed score.

        The area of the logit-difference share f over the share of edges: larger is better, and
        above 1 where circuits overshoot the model. Raises `StateError` where it was not measured.
        """
        return areas.cpr(self._shares_kept("signed_top_share"))

    @property
    def cmd(self) -> float:
        """MIB's circuit-model distance, of the edges of largest absolute score.

        The area of |1 - f| over the share of edges: smaller is better. Raises `StateError` where
        it was not measured.
        """
        return areas.cmd(self._shares_kept("top_share"))

    def plot(
        self,
        metric: str | None = None,
        axes: Axes | None = None,
        label: str = "circuit",
    ) -> Axes:
        """Draw a metric over the sizes on a log axis, with matplotlib, and return the axes.

        The circuit, its complement and a band for the random circuits. `metric`: by default the
        first. `axes`: where to draw, such as the axes of another evaluation, to compare the two.
        The live figure of a notebook is `sp.FaithfulnessView`.
        """
        # Not at the top: numbers need no drawing library.
        from sp_widget.evaluation.draw_curve import draw_curve

        return draw_curve(self, metric or self.metrics[0], axes, label)

    @property
    def summary(self) -> DataFrame:
        """The areas as a pandas table, a row an ablation; NaN where one was not measured."""
        import pandas

        rows = {}
        for ablation in self.ablations:
            alone = self._with(ablation)
            rows[ablation.name] = {name: _or_nan(alone, name) for name in AREAS}
        return pandas.DataFrame.from_dict(rows, orient="index", columns=list(AREAS))

    def __repr__(self) -> str:
        return f"{self._headline}\n{self.summary.round(4).to_string()}\n{self._table().to_string()}"

    def _repr_html_(self) -> str:
        return (
            f"<p>{escape(self._headline)}</p>"
            f"{self.summary.round(4).to_html()}{self._table().to_html(index=False)}"
        )

    # --- inside -----------------------------------------------------------------------------

    @property
    def _headline(self) -> str:
        words = (
            f"Evaluation of {len(self.measured):,} circuits on {self.n_prompts:,} prompts, "
            f"{self.n_edges:,} edges in all"
        )
        if not self.complete:
            words += f"; interrupted: {self.n_circuits:,} circuits were asked for"
        return words

    def _table(self) -> DataFrame:
        """Return a row a size: the first metric of circuit, complement and random circuits."""
        import pandas

        metric = self.metrics[0]
        band = {
            size: f"{_rounded(low)} to {_rounded(high)}" for size, low, high in self.band(metric)
        }
        complement = dict(self.curve(metric, "complement"))
        on_paths = {found.size: found.edges_on_paths for found in self._of("circuit", None)}
        rows = [
            {
                "edges": size,
                "on paths": on_paths[size],
                metric: _rounded(value),
                "complement": _rounded(complement[size]) if size in complement else "",
                "random": band.get(size, ""),
            }
            for size, value in self.curve(metric)
        ]
        return pandas.DataFrame(rows)

    def _by_size(
        self, metric: str, circuit: Kind, ablation: AblationType | None
    ) -> dict[int, list[float]]:
        """Return the values at each size, in the order of sizes."""
        found = self._of(circuit, ablation)
        if circuit.startswith("random") and found:
            # A random circuit of all edges is the circuit of all edges.
            found += [each for each in self._of("circuit", ablation) if each.size == self.n_edges]
        by_size: dict[int, list[float]] = {}
        for each in sorted(found, key=lambda each: each.size):
            by_size.setdefault(each.size, []).append(self._values(each).get(metric, math.nan))
        return by_size

    def _of(self, circuit: Kind, ablation: AblationType | None) -> list[Measured]:
        wanted = self.ablations[0] if ablation is None else ablation
        return [m for m in self.measured if m.circuit == circuit and m.ablation is wanted]

    def _with(self, ablation: AblationType) -> Evaluation:
        from dataclasses import replace

        measured = tuple(found for found in self.measured if found.ablation is ablation)
        return replace(self, measured=measured, ablations=(ablation,))

    def _values(self, found: Measured) -> dict[str, float]:
        """Return the values of a circuit, with the share of the logit difference that it keeps."""
        ends = self._ends.get(found.ablation)
        if ends is None:
            return found.values
        kept = areas.share_kept(found.values["logit_diff"], *ends)
        return {**found.values, "logit_diff_share": kept}

    @cached_property
    def _ends(self) -> dict[AblationType, tuple[float, float]]:
        """Return the logit difference of no edge and of the whole model, for each ablation."""
        found = {}
        for ablation in self.ablations if "logit_diff" in self.metrics else ():
            by_size = {each.size: each.values for each in self._of("circuit", ablation)}
            if by_size.keys() >= {0, self.n_edges}:
                whole = by_size[self.n_edges]["logit_diff"]
                found[ablation] = (by_size[0]["logit_diff"], whole)
        return found

    def _at_shares(self, metric: str, circuit: Kind) -> Sequence[float]:
        found = [self._values(each) for each in self._of(circuit, None)]
        if len(found) < len(areas.SHARES) or any(metric not in values for values in found):
            raise self._missing(metric)
        return [values[metric] for values in found]

    def _shares_kept(self, circuit: Kind) -> Sequence[float]:
        return self._at_shares("logit_diff_share", circuit)

    def _missing(self, metric: str) -> StateError:
        why = (
            "the evaluation was interrupted"
            if not self.complete
            else f"the metrics were {', '.join(self.metrics)}"
        )
        return StateError(f"{metric} was not measured at all sizes: {why}")


AREAS = ("log_kl", "acc_auc", "cpr", "cmd")

NOTHING = 1e-6
"""What sums of 32-bit numbers leave of a zero, at most."""


def _rounded(value: float) -> str:
    return "0" if abs(value) < NOTHING else f"{value:.3g}"


def _or_nan(evaluation: Evaluation, name: str) -> float:
    try:
        return float(getattr(evaluation, name))
    except StateError:
        return math.nan

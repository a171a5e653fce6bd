"""The curves of evaluations as plain data: what circuits lose against their number of edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

from sp_widget.errors import ArgumentError
from sp_widget.evaluation.draw_curve import LABELS
from sp_widget.evaluation.evaluation import Evaluation

Point = tuple[int, float]
"""Edges in the circuit, and what it loses."""

Band = tuple[int, float, float]
"""Edges in the circuit, and the least and the most that random circuits of so many edges lose."""


class CurveData(TypedDict):
    """The curve of one run."""

    name: str
    protocol: str
    """In which direction and with which ablation it was measured."""
    circuit: list[Point]
    complement: list[Point]
    random: list[Band]


def named_evaluations(
    given: Evaluation | Mapping[str, Evaluation] | None, argument: str
) -> Mapping[str, Evaluation]:
    """Return evaluations by the name of their line; one alone is called `circuit`.

    Raises `ArgumentError` with the name of the `argument` unless they are of one model.
    """
    named = {"circuit": given} if isinstance(given, Evaluation) else {} if given is None else given
    if not isinstance(named, Mapping) or not all(
        isinstance(name, str) and isinstance(each, Evaluation) for name, each in named.items()
    ):
        raise ArgumentError(argument, "what sp.evaluate returns, by name", given)
    sizes = {each.n_edges for each in named.values()}
    if len(sizes) > 1:
        raise ArgumentError(argument, "evaluations of one model", sorted(sizes))
    return named


def curve_traits(
    evaluations: Mapping[str, Evaluation], metric: str | None = None
) -> dict[str, Any]:
    """Return what the faithfulness view shows of evaluations, by the names of its traits.

    `metric`: by default the first of the first evaluation. Raises `ArgumentError` for one that was
    not measured.
    """
    if not evaluations:
        return {"curves": []}
    first = next(iter(evaluations.values()))
    metric = first.metrics[0] if metric is None else metric
    if not isinstance(metric, str) or all(math.isnan(value) for _, value in first.curve(metric)):
        known = [*first.metrics, *(["logit_diff_share"] if "logit_diff" in first.metrics else [])]
        raise ArgumentError("metric", f"one of {known}", metric)
    # With another metric a run cannot stand beside the first.
    curves = {
        name: _curve(name, each, metric)
        for name, each in evaluations.items()
        if any(not math.isnan(value) for _, value in each.curve(metric))
    }
    return {
        "curves": list(curves.values()),
        "metric": LABELS.get(metric, metric),
        "most": first.n_edges,
    }


def _curve(name: str, evaluation: Evaluation, metric: str) -> CurveData:
    direction = str(evaluation.patch_type).lower()
    return CurveData(
        name=name,
        protocol=f"{str(evaluation.ablations[0]).lower()}, {direction}",
        circuit=_finite(evaluation.curve(metric)),
        complement=_finite(evaluation.curve(metric, "complement")),
        random=_finite(evaluation.band(metric)),
    )


def _finite(points: list[Any]) -> list[Any]:
    """Return those points that can be drawn on a log axis, as the browser takes them."""
    return [list(each) for each in points if each[0] > 0 and all(map(math.isfinite, each))]

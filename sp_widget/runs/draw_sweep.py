"""The runs of a sweep, what their circuits lose against their edges, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sp_widget.evaluation.draw_curve import LABELS
from sp_widget.runs.point_result import PointResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return which points no other one beats, the one with the fewest edges first.

    A point beats another if it has no more of either and less of one; of equal points the first
    counts.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: points[index]):
        if not front or points[index][1] < points[front[-1]][1]:
            front.append(index)
    return front


def draw_sweep(results: Sequence[PointResult], axes: Axes | None) -> Axes:
    """Draw a dot for every run that was measured, and a line along the Pareto front."""
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots()
    measured = [
        (each, (each.edges, each.value))
        for each in results
        if each.edges is not None and each.value is not None
    ]
    for method in dict.fromkeys(each.point.method for each, _ in measured):
        dots = [dot for each, dot in measured if each.point.method == method]
        axes.plot(*zip(*dots, strict=True), "o", alpha=0.7, label=method)
    dots = [dot for _, dot in measured]
    front = [dots[index] for index in pareto_front(dots)]
    if front:
        axes.plot(*zip(*front, strict=True), "-", color="gray", zorder=0, label="Pareto front")
        axes.legend()
    axes.set_xscale("log")
    axes.set_xlabel("edges in the circuit")
    metric = measured[-1][0].metric if measured else "kl_div"
    axes.set_ylabel(LABELS.get(metric, metric), parse_math=False)
    return axes

"""The chart as numbers and in words, for those who cannot see it and those who want numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from sp_widget.report.trace import Trace

MAX_ROWS = 30
"""Rows of the table, the first and the last step included."""


class Table(TypedDict, total=False):
    """The values at some of the steps; empty before the first."""

    columns: list[str]
    rows: list[list[float | None]]
    """A step, and a value for each of the columns."""


def table_steps(first: int, last: int, max_rows: int = MAX_ROWS) -> list[int]:
    """`first`, round numbers at equal distances, and `last`."""
    interval, power = 1, 1
    while last // interval - first // interval + 2 > max_rows:
        # 1, 2, 5, 10, 20, 50 …
        interval = next((n * power for n in (2, 5, 10) if n * power > interval), 10 * power)
        if interval == 10 * power:
            power *= 10
    between = range(first // interval * interval + interval, last, interval)
    return sorted({first, *between, last})


def table(traces: Sequence[Trace], steps: Sequence[int]) -> Table:
    """Return the value of every trace at each of the steps, or `None` where it has none."""
    return {
        "columns": [trace.series.label for trace in traces],
        "rows": [[step, *(trace.value_at(step) for trace in traces)] for step in steps],
    }


def summary(traces: Sequence[Trace], n_steps: int) -> str:
    """How far the training is, with the last and the lowest value of every trace."""
    if n_steps == 0:
        return "Chart of the training: no steps yet."
    values = [
        f"{trace.series.label} {trace.curve.last:.4g}, lowest {trace.curve.lowest:.4g}"
        for trace in traces
        if len(trace.curve)
    ]
    return f"Chart of the training after {n_steps} steps. {'; '.join(values)}."

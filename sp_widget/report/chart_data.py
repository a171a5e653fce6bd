"""The interactive chart of a run that is over, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import HARD_CIRCUIT, Series, evaluation_points
from sp_widget.report.chart_table import summary, table, table_steps
from sp_widget.report.trace import Trace

MARGINS = {"top": 6, "bottom": 24, "left": 48, "right": 12}
"""Pixels from the edges of the figure to its plot."""


def chart_traits(
    series: Sequence[Series],
    history: Sequence[StepRecord],
    evaluations: Sequence[HardEvaluation],
) -> dict[str, Any]:
    """Return what the chart of a finished run shows, by the names of the chart's traits."""
    live = [Trace(each) for each in series]
    for trace in live:
        trace.curve.extend(trace.series.points(history))
    measured = Trace(HARD_CIRCUIT, marked=True)
    measured.curve.extend(evaluation_points(evaluations))
    steps = table_steps(history[0].step, history[-1].step) if history else []
    return {
        "margins": MARGINS,
        # Without marks: nothing but this data is there to draw them.
        "traces": [{**trace.look(), "marks": []} for trace in (*live, measured)],
        "live": [trace.data() for trace in live],
        "still": [measured.data()],
        "summary": summary([*live, measured], len(history)),
        "table": table([measured, *live], steps),
    }

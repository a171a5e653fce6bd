"""What the chart draws: traces of the present run, of earlier runs and of the hard circuit.

A trace is one line with its look. Its marks are empty bqplot lines: the browser puts the points
into them, smoothed or on a log axis as a person wishes, without asking the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import bqplot

from sp_widget.methods.series import HARD_CIRCUIT, Series, evaluation_points
from sp_widget.report.trace import Trace, TraceLook
from sp_widget.widget.past_run import PastRun

RUN_STROKE_WIDTH = 1.5


@dataclass(frozen=True)
class Scales:
    """The scales of the figure. Their ends are set in the browser."""

    steps: bqplot.Scale
    left: bqplot.Scale
    right: bqplot.Scale


class TraceSpec(TraceLook):
    """The look of a trace with what draws it, for the browser."""

    marks: list[bqplot.Lines]
    """The line as measured and, where it can be smoothed, the smooth one."""


class DrawnTrace(Trace):
    """One line of the chart, and the marks that draw it."""

    def __init__(
        self, series: Series, scales: Scales, *, run: str = "", marker: str | None = None
    ) -> None:
        super().__init__(series, run=run, marked=marker is not None)
        self.marks = [
            bqplot.Lines(
                scales={"x": scales.steps, "y": getattr(scales, series.axis)},
                # The browser sets the ends of the scales: no need to look for them in the data.
                preserve_domain={"x": True, "y": True},
                labels=[series.label],
                colors=[series.colour],
                line_style=series.line_style,
                stroke_width=series.stroke_width,
                interpolation="step-before" if series.stepped else "linear",
                **({} if marker is None else {"marker": marker, "marker_size": 40}),
            )
            for _ in range(1 + self.smooths)
        ]
        """The line as measured and, where it can be smoothed, the smooth one above it."""

    def describe(self) -> TraceSpec:
        """Return the look of the trace with its marks, for the browser."""
        return {**self.look(), "marks": self.marks}

    def close(self) -> None:
        """Remove the marks from the page."""
        for mark in self.marks:
            mark.close()


def traces_of_runs(runs: Sequence[PastRun], series: Series, scales: Scales) -> list[DrawnTrace]:
    """Return a line of `series` for each run, in the colour and with the dashes of the run."""
    traces = []
    for run in runs:
        look = replace(
            series,
            colour=run.colour,
            line_style=run.line_style,
            stroke_width=RUN_STROKE_WIDTH,
        )
        evaluated = series is HARD_CIRCUIT
        trace = DrawnTrace(look, scales, run=run.name, marker="circle" if evaluated else None)
        points = evaluation_points(run.evaluations) if evaluated else look.points(run.records)
        trace.curve.extend(points)
        traces.append(trace)
    return traces

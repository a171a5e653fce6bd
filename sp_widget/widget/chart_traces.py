"""What the chart draws: traces of the present run, of earlier runs and of the hard circuit.

A trace is one line with its look. Its marks are empty bqplot lines: the browser puts the points
into them, smoothed or on a log axis as a person wishes, without asking the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import bqplot
import numpy as np

from sp_widget.methods.series import HARD_CIRCUIT, LineStyle, Series, evaluation_points
from sp_widget.widget.curve import Curve, Window
from sp_widget.widget.downsample import Floats
from sp_widget.widget.past_run import PastRun

RUN_STROKE_WIDTH = 1.5


@dataclass(frozen=True)
class Scales:
    """The scales of the figure. Their ends are set in the browser."""

    steps: bqplot.Scale
    left: bqplot.Scale
    right: bqplot.Scale


class TraceSpec(TypedDict):
    """The look of a trace, for the browser."""

    label: str
    run: str
    """The name of an earlier run; empty: the present one."""
    axis: Literal["left", "right"]
    colour: str
    line_style: LineStyle
    stroke_width: float
    stepped: bool
    marker: bool
    marks: list[bqplot.Lines]
    """The line as measured and, where it can be smoothed, the smooth one."""


class TraceData(TypedDict):
    """The points of a trace, for the browser."""

    points: bytes
    means: bytes
    """What it is smoothed from; empty: the points."""
    last: float | None
    lowest: float | None


class Trace:
    """One line of the chart: its look, its points and the marks that draw it."""

    def __init__(
        self, series: Series, scales: Scales, *, run: str = "", marker: str | None = None
    ) -> None:
        self.series = series
        self.run = run
        """The name of an earlier run; empty: the present one."""
        self.curve = Curve()
        self._marker = marker
        # A count and a handful of evaluations have no noise to smooth.
        self._smoothed = not series.stepped and marker is None
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
            for _ in range(1 + self._smoothed)
        ]
        """The line as measured and, where it can be smoothed, the smooth one above it."""

    def describe(self) -> TraceSpec:
        """Return the look of the trace, for the browser."""
        return {
            "label": self.series.label,
            "run": self.run,
            "axis": self.series.axis,
            "colour": self.series.colour,
            "line_style": self.series.line_style,
            "stroke_width": self.series.stroke_width,
            "stepped": self.series.stepped,
            "marker": self._marker is not None,
            "marks": self.marks,
        }

    def data(self, window: Window | None = None) -> TraceData:
        """Return the points of the trace, for the browser, with more of them in the `window`."""
        drawing = self.curve.to_draw(window)
        filled = len(self.curve) > 0
        return {
            "points": packed(drawing.x, drawing.y),
            # Empty: every point is drawn, and smoothing takes those.
            "means": b"" if drawing.complete else packed(drawing.mean_x, drawing.mean_y),
            "last": self.curve.last if filled else None,
            "lowest": self.curve.lowest if filled else None,
        }

    def value_at(self, step: float) -> float | None:
        """Return the value in a step; an evaluation holds until the next."""
        return self.curve.at(step) if self._marker is None else self.curve.latest(step)

    def forget(self) -> None:
        """Drop all points. Sends nothing."""
        self.curve = Curve()

    def close(self) -> None:
        """Remove the marks from the page."""
        for mark in self.marks:
            mark.close()


def traces_of_runs(runs: Sequence[PastRun], series: Series, scales: Scales) -> list[Trace]:
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
        trace = Trace(look, scales, run=run.name, marker="circle" if evaluated else None)
        points = evaluation_points(run.evaluations) if evaluated else look.points(run.records)
        trace.curve.extend(points)
        traces.append(trace)
    return traces


def packed(x: Floats, y: Floats) -> bytes:
    """All `x` and then all `y`, as 32-bit floats: a screen shows no more than seven digits."""
    return np.concatenate([x, y]).astype("<f4").tobytes()

"""A line of the interactive chart: its look, and its points as the browser takes them."""

from __future__ import annotations

from typing import Literal, TypedDict

import numpy as np

from sp_widget.methods.series import LineStyle, Series
from sp_widget.report.curve import Curve, Window
from sp_widget.report.downsample import Floats


class TraceLook(TypedDict):
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
    smooths: bool
    """Whether it can be smoothed."""


class TraceData(TypedDict):
    """The points of a trace, for the browser."""

    points: bytes
    means: bytes
    """What it is smoothed from; empty: the points."""
    last: float | None
    lowest: float | None


class Trace:
    """One line of the chart: its look and its points."""

    def __init__(self, series: Series, *, run: str = "", marked: bool = False) -> None:
        self.series = series
        self.run = run
        """The name of an earlier run; empty: the present one."""
        self.marked = marked
        """Whether each point has a marker: it was measured now and then."""
        # A count and a handful of evaluations have no noise to smooth.
        self.smooths = not series.stepped and not marked
        self.curve = Curve()

    def look(self) -> TraceLook:
        """Return the look of the trace, for the browser."""
        return {
            "label": self.series.label,
            "run": self.run,
            "axis": self.series.axis,
            "colour": self.series.colour,
            "line_style": self.series.line_style,
            "stroke_width": self.series.stroke_width,
            "stepped": self.series.stepped,
            "marker": self.marked,
            "smooths": self.smooths,
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
        return self.curve.latest(step) if self.marked else self.curve.at(step)

    def forget(self) -> None:
        """Drop all points. Sends nothing."""
        self.curve = Curve()


def packed(x: Floats, y: Floats) -> bytes:
    """All `x` and then all `y`, as 32-bit floats: a screen shows no more than seven digits."""
    return np.concatenate([x, y]).astype("<f4").tobytes()

"""All of the chart but its picture: controls, read-out, legend with numbers, and a table.

The view is TypeScript (`js/src/chart/`). It also puts the points into the marks of the bqplot
figure, so that zooming, smoothing and log axes work at once, however busy the kernel is. Here
are the traits that it shows.
"""

from __future__ import annotations

from typing import TypedDict

import bqplot
import traitlets
from ipywidgets import widget_serialization

from sp_widget.methods.series import AXIS_LABELS, LOSS, AxisName
from sp_widget.report.chart_table import Table
from sp_widget.report.trace import TraceData
from sp_widget.widget.chart_traces import TraceSpec
from sp_widget.widget.locked import LockedWidget


class Parts(TypedDict):
    """The scales and axes of the figure."""

    steps: bqplot.Scale
    left: bqplot.Scale
    right: bqplot.Scale
    steps_axis: bqplot.Axis
    left_axis: bqplot.Axis
    right_axis: bqplot.Axis


class Margins(TypedDict):
    """Pixels from the edges of the figure to its plot."""

    top: int
    bottom: int
    left: int
    right: int


class ChartTools(LockedWidget, bundle="chart"):
    """What a person sets stays in traits, so a reload and a second view show the same."""

    parts = traitlets.Dict().tag(sync=True, holds=Parts, **widget_serialization)
    axis_labels = traitlets.Dict(dict(AXIS_LABELS)).tag(sync=True, holds=dict[AxisName, str])
    margins = traitlets.Dict().tag(sync=True, holds=Margins)
    traces = traitlets.List(traitlets.Dict()).tag(
        sync=True, holds=list[TraceSpec], **widget_serialization
    )
    """First those of the present run."""
    live = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[TraceData])
    """The points of the traces of the present run."""
    still = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[TraceData])
    """Those of the other traces."""
    summary = traitlets.Unicode("").tag(sync=True)
    """The chart in words."""
    table = traitlets.Dict().tag(sync=True, holds=Table)

    log_axes = traitlets.List(
        traitlets.Enum(["steps", "left", "right"]), default_value=["left"], maxlen=3
    ).tag(sync=True, browser=True)
    """The axes that are logarithmic; none is while a value on it is below zero."""
    quantities = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """What can be seen of earlier runs, by the label of its line."""
    quantity = traitlets.Unicode(LOSS.label).tag(sync=True, browser=True)
    """What is seen of earlier runs."""
    smoothing = traitlets.Float(0.0, min=0.0, max=0.99).tag(sync=True, browser=True)
    """Weight of what came before in the moving average; 0: no smoothing."""
    window = traitlets.List(
        traitlets.Float(), default_value=None, minlen=2, maxlen=2, allow_none=True
    ).tag(sync=True, browser=True)
    """The first and the last step in view; `None`: all."""
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True, browser=True)
    """Traces that are not drawn, by name: `Loss`, or `Loss, run 1` of an earlier run."""

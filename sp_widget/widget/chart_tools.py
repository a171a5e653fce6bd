"""All of the chart but its picture: controls, read-out, legend with figures, and a table.

The view is TypeScript (`js/src/chart/`). It also puts the points into the marks of the bqplot
figure, so that zooming, smoothing and log axes work at once, however busy the kernel is. Here
are the traits that it shows.
"""

from __future__ import annotations

import traitlets
from ipywidgets import widget_serialization

from sp_widget.widget.bundle import bundled
from sp_widget.widget.locked import LockedWidget


class ChartTools(LockedWidget):
    """What a person sets stays in traits, so a reload and a second view show the same."""

    _esm = bundled("chart.js")
    _css = bundled("chart.css")

    parts = traitlets.Dict().tag(sync=True, **widget_serialization)
    """The scales and axes of the figure by name: `steps`, `left`, `right`, and each of them with
    `_axis`."""
    margins = traitlets.Dict().tag(sync=True)
    """Pixels from the edges of the figure to its plot: `top`, `bottom`, `left`, `right`."""
    traces = traitlets.List(traitlets.Dict()).tag(sync=True, **widget_serialization)
    """`sp_widget.widget.chart_traces.Trace.describe` of each: first those of the present run."""
    live = traitlets.List(traitlets.Dict()).tag(sync=True)
    """`Trace.data` of the traces of the present run."""
    still = traitlets.List(traitlets.Dict()).tag(sync=True)
    """`Trace.data` of the other traces."""
    summary = traitlets.Unicode("").tag(sync=True)
    """The chart in words."""
    table = traitlets.Dict().tag(sync=True)
    """`columns`: names; `rows`: a step and a value, or `None`, for each of the columns."""

    log = traitlets.List(traitlets.Enum(["steps", "left", "right"])).tag(sync=True)
    """The axes that are logarithmic."""
    smoothing = traitlets.Float(0.0, min=0.0, max=0.99).tag(sync=True)
    """Weight of what came before in the moving average; 0: no smoothing."""
    window = traitlets.List(
        traitlets.Float(), default_value=None, minlen=2, maxlen=2, allow_none=True
    ).tag(sync=True)
    """The first and the last step in view; `None`: all."""
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Traces that are not drawn, by name: `Loss`, or `Loss, run 1` of an earlier run."""

"""The live chart: what the loss is made of on the left axis, edges in the circuit on the right.

bqplot rebuilds every point of a line at every update, so a line has few points, no markers and
no animation, and a line's `x` and `y` travel in one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import bqplot
import ipywidgets
import numpy as np

from sp_widget.training.record import StepRecord
from sp_widget.training.series import LineStyle, Series
from sp_widget.widget.curve import Curve

HEIGHT = "300px"

LEAST_TOP_OF_COUNTS = 10.0
"""Below it an axis of steps or edges would have ticks at half a step or half an edge."""

DASHES: dict[LineStyle, str] = {
    "solid": "none",
    "dashed": "10,10",
    "dotted": "2,10",
    "dash_dotted": "10,5,2,5",
}
"""The dash patterns of bqplot's line styles, for the legend."""

# bqplot names its colours on the page's body, where its dark theme has orange text; here they
# are named again from the theme of JupyterLab, with a fallback where there is none.
STYLE = """
.sp-chart {
  --sp-chart-text: var(--jp-content-font-color1, currentColor);
  --sp-chart-muted: var(--jp-content-font-color2, currentColor);
  --sp-chart-line: var(--jp-border-color2, #8888);
  --bq-content-font-color: var(--sp-chart-text);
  --bq-mainheading-fill: var(--sp-chart-text);
  --bq-axislabel-fill: var(--sp-chart-text);
  --bq-axislabel-font: 12px var(--jp-ui-font-family, sans-serif);
  --bq-axis-tick-text-fill: var(--sp-chart-muted);
  --bq-axis-tick-text-font: 11px var(--jp-ui-font-family, sans-serif);
  --bq-axis-border-color: var(--sp-chart-muted);
  --bq-axis-path-stroke: var(--sp-chart-muted);
  --bq-axis-tick-stroke: var(--sp-chart-line);
  --bq-grid-color: color-mix(in srgb, var(--sp-chart-line) 70%, transparent);
  --bq-background: transparent;
  --bq-plotarea-background-fill: transparent;
}
.sp-chart .bqplot.figure {
  margin: 0;
  /* bqplot hides a figure that it finds without a size, as in the middle of a change of theme,
     and on a busy machine it does not always show it again. */
  visibility: visible !important;
}
.sp-chart .sp-legend {
  display: flex;
  flex-wrap: wrap;
  gap: 2px 20px;
  margin: 4px 12px 0;
  padding: 0;
  list-style: none;
  color: var(--sp-chart-text);
  font: var(--jp-ui-font-size1, 13px) var(--jp-ui-font-family, sans-serif);
}
.sp-chart .sp-legend li { display: flex; align-items: center; gap: 6px; margin: 0; }
.sp-chart .sp-legend svg { flex: none; width: 34px; height: 8px; }
.sp-chart-summary {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
"""


class Chart:
    """A bqplot figure with one line per series, a legend, and a summary in words.

    Not thread-safe: one thread at a time appends and draws.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self._series = tuple(series)
        self._curves = [Curve() for _ in self._series]
        self.n_steps = 0
        """Records that the chart holds."""
        self._steps = bqplot.LinearScale(min=1, max=LEAST_TOP_OF_COUNTS)
        # A count starts at zero; its other end follows the data, because a circuit of forty
        # edges would be a flat line on an axis up to all edges of a model.
        self._scales = {
            "left": bqplot.LinearScale(),
            "right": bqplot.LinearScale(min=0, max=LEAST_TOP_OF_COUNTS),
        }
        self._lines = [
            bqplot.Lines(
                scales={"x": self._steps, "y": self._scales[series.axis]},
                labels=[series.label],
                colors=[series.colour],
                line_style=series.line_style,
                stroke_width=series.stroke_width,
                interpolation="step-before" if series.stepped else "linear",
            )
            for series in self._series
        ]
        self._axes = _axes(self._steps, self._scales["left"], self._scales["right"])
        self._figure = bqplot.Figure(
            marks=self._lines,
            axes=self._axes,
            animation_duration=0,
            display_toolbar=False,
            fig_margin={"top": 12, "bottom": 48, "left": 64, "right": 68},
            layout=ipywidgets.Layout(width="100%", height=HEIGHT, min_width="0"),
        )
        self._legend = ipywidgets.HTML(legend_html(self._series))
        self._summary = ipywidgets.HTML(self.summary())
        self._summary.add_class("sp-chart-summary")
        self.view = ipywidgets.VBox(
            [self._legend, self._summary, self._figure],
            layout=ipywidgets.Layout(width="100%", overflow="hidden"),
        )
        """The widget to display."""
        self.view.add_class("sp-chart")

    @property
    def messages_per_update(self) -> int:
        """Messages that one `draw` sends to the browser."""
        return len(self._lines)

    def append(self, records: Sequence[StepRecord]) -> None:
        """Take in the records that follow those it holds. Sends nothing."""
        for series, curve in zip(self._series, self._curves, strict=True):
            curve.extend(series.points(records))
        self.n_steps += len(records)

    def clear(self) -> None:
        """Forget all records. Sends nothing."""
        self._curves = [Curve() for _ in self._series]
        self.n_steps = 0

    def draw(self) -> None:
        """Send the lines to the browser."""
        highest_count = 0.0
        for series, line, curve in zip(self._series, self._lines, self._curves, strict=True):
            x, y = curve.to_draw()
            if series.axis == "right":
                highest_count = max(highest_count, y.max(initial=0.0))
            with line.hold_sync():
                # Half the bytes: a screen does not show more than seven digits.
                line.x, line.y = x.astype(np.float32), y.astype(np.float32)
        self._steps.max = _top_of_counts(self.n_steps)
        self._scales["right"].max = _top_of_counts(highest_count)

    def describe(self) -> None:
        """Send the summary to the browser."""
        self._summary.value = escape(self.summary())

    def summary(self) -> str:
        """The chart in words, for those who cannot see it."""
        if self.n_steps == 0:
            return "Chart of the training: no steps yet."
        values = [
            f"{series.label} {curve.last:.4g}, lowest {curve.lowest:.4g}"
            for series, curve in zip(self._series, self._curves, strict=True)
            if len(curve)
        ]
        return f"Chart of the training after {self.n_steps} steps. {'; '.join(values)}."

    def close(self) -> None:
        """Remove the chart from the page."""
        for widget in (*self._lines, *self._axes, self._figure, self._legend, self._summary):
            widget.close()
        self.view.close()


def legend_html(series: Sequence[Series]) -> str:
    """A list of the lines with a sample of each. Outside of the figure: it never hides a line."""
    items = "".join(
        f'<li><svg aria-hidden="true" viewBox="0 0 34 8"><line x1="0" y1="4" x2="34" y2="4" '
        f'stroke="{line.colour}" stroke-width="{line.stroke_width}" '
        f'stroke-dasharray="{DASHES[line.line_style]}"/></svg>{escape(line.label)}</li>'
        for line in series
    )
    return (
        f'<style>{STYLE}</style><ul class="sp-legend" aria-label="Lines of the chart">{items}</ul>'
    )


def _top_of_counts(highest: float) -> float | None:
    """The end of an axis of counts; `None`: it follows the data."""
    return None if highest > LEAST_TOP_OF_COUNTS else LEAST_TOP_OF_COUNTS


def _axes(steps: bqplot.Scale, left: bqplot.Scale, right: bqplot.Scale) -> list[bqplot.Axis]:
    # "~r": decimal notation without trailing zeros, where the default writes 1k for 1,000.
    return [
        bqplot.Axis(
            scale=steps, label="Step", label_offset="3em", tick_format=",~r", grid_lines="none"
        ),
        bqplot.Axis(
            scale=left,
            side="left",
            label="Loss and its terms",
            label_offset="4em",
            tick_format=",.4~r",
        ),
        bqplot.Axis(
            scale=right,
            side="right",
            label="Edges in the circuit",
            label_offset="4.4em",
            tick_format=",~r",
            grid_lines="none",
        ),
    ]

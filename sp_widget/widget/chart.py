"""The live chart: in one pane what the loss is made of, below it the edges in the circuit.

bqplot draws it. The kernel sends all points in one message to the tools of the chart, which put
them into bqplot's lines in the browser (`js/src/chart/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bqplot
import ipywidgets

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import HARD_CIRCUIT, LOSS, Series, evaluation_points
from sp_widget.report.chart_data import MARGINS
from sp_widget.report.chart_table import summary, table, table_steps
from sp_widget.report.curve import Window
from sp_widget.widget.chart_tools import ChartTools
from sp_widget.widget.chart_traces import DrawnTrace, Scales, traces_of_runs
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.lifetime import hold_weakly, widgets_in
from sp_widget.widget.past_run import PastRun

HEIGHT = "300px"

MESSAGES_PER_UPDATE = 1


class Chart:
    """A bqplot figure with one line per series, controls, a legend with numbers and a table.

    Its methods may be called from any thread. Whatever they change is changed under the lock of
    its tools.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self.n_steps = 0
        """Records that the chart holds."""
        self._first_step = self._last_step = 0
        scales = Scales(*(bqplot.LinearScale(min=0, max=1, allow_padding=False) for _ in range(3)))
        self._scales = scales
        self._live = [DrawnTrace(each, scales) for each in series]
        self._past: tuple[PastRun, ...] = ()
        self._runs: list[DrawnTrace] = []
        self._evaluations = DrawnTrace(HARD_CIRCUIT, scales, marker="diamond")
        self._axes = _axes(scales)
        self._figure = bqplot.Figure(
            marks=self._marks(),
            axes=list(self._axes.values()),
            animation_duration=0,
            display_toolbar=False,
            fig_margin=MARGINS,
            padding_y=0.0,
            layout=ipywidgets.Layout(width="100%", height=HEIGHT, min_width="0"),
        )
        self.tools = ChartTools(parts={**vars(scales), **self._axes}, margins=MARGINS)
        """The widget with the controls and the numbers."""
        self.view = ipywidgets.VBox(
            [self.tools, self._figure], layout=ipywidgets.Layout(width="100%")
        )
        """The widget to display."""
        self.view.add_class("sp-chart")
        self.tools.add_class("sp-chart-tools")
        deliver_where_addressed(self.tools.comm)
        self.tools.observe(self._show_detail, "window")
        self.tools.observe(self._show_quantity, "quantity")
        self.tools.update(**self._described(), **self._drawn(), **self._in_words())

    @property
    def messages_per_update(self) -> int:
        """Messages that one `draw` sends to the browser, at most."""
        return MESSAGES_PER_UPDATE

    def show_series(self, series: Sequence[Series]) -> None:
        """Draw these lines of the present run from now on. Sends nothing if it does already."""
        with self.tools.lock:
            if [trace.series for trace in self._live] == list(series):
                return
            former, self._live = self._live, [DrawnTrace(each, self._scales) for each in series]
            self._show_marks()
            self.tools.update(**self._described(), **self._drawn(), **self._in_words())
            for trace in former:
                trace.close()

    def append(self, records: Sequence[StepRecord]) -> None:
        """Take in the records that follow those it holds. Sends nothing."""
        if not records:
            return
        with self.tools.lock:
            for trace in self._live:
                trace.curve.extend(trace.series.points(records))
            if self.n_steps == 0:
                self._first_step = records[0].step
            self._last_step = records[-1].step
            self.n_steps += len(records)

    def clear(self) -> None:
        """Forget the present run: its records and evaluations, and where a person zoomed to.

        Earlier runs stay.
        """
        with self.tools.lock:
            for trace in self._live:
                trace.forget()
            self.n_steps = self._first_step = self._last_step = 0
            self.tools.update(window=None)
            self.show_evaluations([])

    def draw(self) -> None:
        """Send the present run to the browser. Takes no longer the more steps there are."""
        with self.tools.lock:
            self.tools.update(**self._drawn())

    def describe(self) -> None:
        """Send the summary and the table to the browser."""
        with self.tools.lock:
            self.tools.update(**self._in_words())

    def summary(self) -> str:
        """The chart in words, for those who cannot see it."""
        with self.tools.lock:
            return str(self._in_words()["summary"])

    def show_runs(self, runs: Sequence[PastRun]) -> None:
        """Lay earlier runs beside the present one: one line each, of the quantity that was chosen.

        They replace those that were shown before.
        """
        with self.tools.lock:
            self._past = tuple(runs)
            series = next(
                (each for each in self._series() if each.label == self.tools.quantity), LOSS
            )
            former, self._runs = self._runs, traces_of_runs(runs, series, self._scales)
            self._show_marks()
            self.tools.update(**self._described())
            for trace in former:
                trace.close()

    def show_evaluations(self, evaluations: Sequence[HardEvaluation]) -> None:
        """Mark how faithful the hard circuit was on the validation data, at each of `evaluations`.

        They replace those that were shown before. Sends nothing if nothing changed.
        """
        with self.tools.lock:
            self._evaluations.forget()
            self._evaluations.curve.extend(evaluation_points(evaluations))
            self.tools.update(**self._described())

    def close(self) -> None:
        """Remove the chart from the page."""
        for widget in widgets_in(self.view):
            widget.close()

    def _show_marks(self) -> None:
        self._figure.marks = self._marks()
        hold_weakly(self._figure)

    def _marks(self) -> list[bqplot.Lines]:
        # The last one is drawn on top.
        traces = (*self._runs, *self._live, self._evaluations)
        return [mark for trace in traces for mark in trace.marks]

    def _described(self) -> dict[str, Any]:
        still = [self._evaluations, *self._runs]
        return {
            "quantities": [series.label for series in self._series()],
            "traces": [trace.describe() for trace in (*self._live, *still)],
            "still": [trace.data() for trace in still],
        }

    def _drawn(self) -> dict[str, Any]:
        window = self._window()
        return {"live": [trace.data(window) for trace in self._live]}

    def _window(self) -> Window | None:
        if self.tools.window is None:
            return None
        first, last = self.tools.window
        # As much again on both sides: a person who pans does not wait for the kernel.
        return 2 * first - last, 2 * last - first

    def _in_words(self) -> dict[str, Any]:
        steps = table_steps(self._first_step, self._last_step) if self.n_steps else []
        return {
            "summary": summary([*self._live, self._evaluations], self.n_steps),
            "table": table([self._evaluations, *self._live], steps),
        }

    def _series(self) -> list[Series]:
        return [self._evaluations.series, *(trace.series for trace in self._live)]

    def _show_detail(self, change: object) -> None:
        self.draw()

    def _show_quantity(self, change: object) -> None:
        self.show_runs(self._past)


def _axes(scales: Scales) -> dict[str, bqplot.Axis]:
    # No labels: the tools write them into the panes. Both values stand on the left, each beside its
    # pane. "~r": decimal notation without trailing zeros, where the default writes 1k for 1,000.
    return {
        "steps_axis": bqplot.Axis(
            scale=scales.steps,
            tick_format=",~r",
            grid_lines="none",
        ),
        "left_axis": bqplot.Axis(
            scale=scales.left,
            side="left",
            tick_format=",.4~r",
        ),
        "right_axis": bqplot.Axis(
            scale=scales.right,
            side="left",
            tick_format=",~r",
        ),
    }

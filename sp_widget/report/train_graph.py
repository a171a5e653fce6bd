"""The finished training as a chart."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from sp_widget import methods
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.record import StepRecord
from sp_widget.methods.series import LineStyle, Series

_MATPLOTLIB_STYLES: dict[LineStyle, str] = {
    "solid": "-",
    "dashed": "--",
    "dotted": ":",
    "dash_dotted": "-.",
}


def show_train_graph(history: Sequence[StepRecord], config: MethodConfig) -> None:
    """Show loss, its terms, validation and the number of edges in the circuit, step by step.

    A bqplot figure in a notebook, a matplotlib figure elsewhere. The latter does not block;
    where there is no screen it stays pyplot's current figure, to be saved.
    """
    series = methods.of(config).series_for(any(record.validation is not None for record in history))
    if _in_notebook():
        from IPython.display import display

        display(bqplot_figure(history, config, series))  # type: ignore[no-untyped-call]
        return
    import matplotlib.pyplot as plt

    matplotlib_figure(history, config, series)
    with warnings.catch_warnings():
        # Without a screen there is nothing to show, which is no reason to complain.
        warnings.filterwarnings("ignore", ".*non-interactive", UserWarning)
        plt.show(block=False)


def bqplot_figure(
    history: Sequence[StepRecord], config: MethodConfig, series: Sequence[Series]
) -> Any:
    """The chart as a `bqplot.Figure`."""
    # Not at the top: training in a plain script needs no widget library.
    import bqplot

    steps = bqplot.LinearScale()
    scales = {"left": bqplot.LinearScale(), "right": bqplot.LinearScale(min=0)}
    marks = []
    for line in series:
        points = line.points(history)
        marks.append(
            bqplot.Lines(
                x=[x for x, _ in points],
                y=[y for _, y in points],
                scales={"x": steps, "y": scales[line.axis]},
                labels=[line.label],
                display_legend=True,
                colors=[line.colour],
                line_style=line.line_style,
                stroke_width=line.stroke_width,
                interpolation="step-before" if line.stepped else "linear",
            )
        )
    left, right = _axis_labels(config)
    axes = [
        bqplot.Axis(scale=steps, label="Step", tick_format=",~r", grid_lines="none"),
        bqplot.Axis(scale=scales["left"], side="left", label=left, label_offset="4em"),
        bqplot.Axis(
            scale=scales["right"],
            side="right",
            label=right,
            label_offset="4.2em",
            tick_format=",~r",
            grid_lines="none",
        ),
    ]
    margin = {"top": 40, "bottom": 42, "left": 64, "right": 68}
    return bqplot.Figure(marks=marks, axes=axes, title="Subnetwork probing", fig_margin=margin)


def matplotlib_figure(
    history: Sequence[StepRecord], config: MethodConfig, series: Sequence[Series]
) -> Any:
    """The chart as a `matplotlib.figure.Figure` of pyplot."""
    import matplotlib.pyplot as plt

    figure, left = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes = {"left": left, "right": left.twinx()}
    for line in series:
        points = line.points(history)
        axes[line.axis].plot(
            [x for x, _ in points],
            [y for _, y in points],
            label=line.label,
            color=line.colour,
            linestyle=_MATPLOTLIB_STYLES[line.line_style],
            linewidth=line.stroke_width,
            drawstyle="steps-pre" if line.stepped else "default",
        )
    axes["right"].set_ylim(bottom=0)
    left.set_title("Subnetwork probing")
    left.set_xlabel("Step")
    for axis, label in zip(axes.values(), _axis_labels(config), strict=True):
        axis.set_ylabel(label)
    # Below both axes: a legend of one of them would lie under the lines of the other.
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _axis_labels(config: MethodConfig) -> tuple[str, str]:
    return f"Loss and its terms ({config.faithfulness_target})", "Edges in the circuit"


def _in_notebook() -> bool:
    """Whether an IPython kernel, which has a front end, runs this."""
    from IPython import get_ipython

    # The shell of a terminal has no kernel, and its screen shows no widgets.
    return getattr(get_ipython(), "kernel", None) is not None

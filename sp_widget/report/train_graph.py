"""The chart of a finished training, shown where the code runs."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Sequence
from typing import Any

from sp_widget import methods
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.record import StepRecord


def show_train_graph(history: Sequence[StepRecord], config: MethodConfig) -> None:
    """Show loss, its terms, validation and the number of edges in the circuit, step by step.

    It is the chart of `sp_widget.snapshot`: an image in a notebook, a pyplot figure elsewhere. The
    latter does not block; where there is no screen it stays the current figure, to be saved.
    """
    # Not at the top: training in a plain script needs no drawing library.
    from sp_widget.report.drawing import DOTS_PER_INCH, PAGE_WIDTH

    if _in_notebook():
        from IPython.display import display
        from matplotlib.figure import Figure

        figure, file = _drawn(Figure, history, config), io.BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
        last = history[-1]
        words = (
            f"Chart of {last.step:,} steps, loss {last.loss:.4g}, {last.hard_edge_count:,} edges"
        )
        display(  # type: ignore[no-untyped-call]
            {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": words},
            metadata={"image/png": {"width": int(PAGE_WIDTH)}},
            raw=True,
        )
        return
    import matplotlib.pyplot as plt

    _drawn(plt.figure, history, config)
    with warnings.catch_warnings():
        # Without a screen there is nothing to show, which is no reason to complain.
        warnings.filterwarnings("ignore", ".*non-interactive", UserWarning)
        plt.show(block=False)


def _drawn(make_figure: Any, history: Sequence[StepRecord], config: MethodConfig) -> Any:
    """Return a figure with the chart; pyplot keeps those that it makes, matplotlib does not."""
    from sp_widget.report.draw_chart import Rectangle, draw_chart
    from sp_widget.report.drawing import CHART_HEIGHT, GROUND, PAGE_WIDTH, UNITS_PER_INCH

    size = (PAGE_WIDTH / UNITS_PER_INCH, CHART_HEIGHT / UNITS_PER_INCH)
    figure = make_figure(figsize=size, facecolor=GROUND)
    draw_chart(
        figure,
        Rectangle(0, 0, PAGE_WIDTH, CHART_HEIGHT),
        methods.of(config).series_for(any(record.validation is not None for record in history)),
        history,
        faithfulness_target=config.faithfulness_target,
    )
    return figure


def _in_notebook() -> bool:
    """Return whether an IPython kernel, which has a front end, runs this."""
    from IPython import get_ipython

    # The shell of a terminal has no kernel, and its screen shows no images.
    return getattr(get_ipython(), "kernel", None) is not None

"""The chart of a finished training, in a script and in a notebook."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pytest

from sp_widget import methods
from sp_widget.methods.record import StepRecord
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.report.train_graph import show_train_graph
from tests.widget.kernel import ROOT, Kernel
from tests.widget.records import record

CONFIG = SubnetworkProbingConfig(faithfulness_target="logit_diff_percent")


def _history(**changes: float | None) -> list[StepRecord]:
    """Loss 6, 4, 2; faithfulness 1; lambda 2, 4, 8 times regularizer 0.5; edges 9, 5, 5."""
    values = zip((6.0, 4.0, 2.0), (2.0, 4.0, 8.0), (9, 5, 5), strict=True)
    return [
        record(
            step,
            loss=loss,
            faithfulness=1.0,
            regularizer=0.5,
            regularize_lambda=weight,
            hard_edge_count=edges,
            **{"validation": 3.0 + step, **changes},
        )
        for step, (loss, weight, edges) in enumerate(values, 1)
    ]


EXPECTED = {
    "Loss": [6, 4, 2],
    "Faithfulness": [1, 1, 1],
    "Lambda × regularizer": [1, 2, 4],
    "Validation": [4, 5, 6],
    "Edges in the circuit (right axis)": [9, 5, 5],
}


@pytest.fixture
def plt() -> Iterator[Any]:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.close("all")
    yield plt
    plt.close("all")


def test_in_a_script_it_is_a_matplotlib_figure(plt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a display, with one that the backend cannot use, and without blocking."""
    for display in ("", ":0"):
        monkeypatch.setenv("DISPLAY", display)
        show_train_graph(_history(), CONFIG)
        left, right = plt.gcf().axes
        drawn = {
            line.get_label(): line.get_ydata().tolist() for line in (*left.lines, *right.lines)
        }
        assert drawn == EXPECTED
        assert [line.get_label() for line in right.lines] == ["Edges in the circuit (right axis)"]
        assert all(line.get_xdata().tolist() == [1, 2, 3] for line in left.lines)
        assert right.get_ylim()[0] == 0
        (legend,) = plt.gcf().legends
        assert [text.get_text() for text in legend.get_texts()] == list(EXPECTED)
        assert left.get_xlabel() == "Step"
        assert "logit_diff_percent" in left.get_ylabel()
        assert right.get_ylabel() == "Edges in the circuit"
        plt.close("all")


def test_the_figure_can_be_saved(plt: Any, tmp_path: Any) -> None:
    show_train_graph(_history(), CONFIG)
    plt.savefig(tmp_path / "training.png")
    assert (tmp_path / "training.png").stat().st_size > 10_000


def test_lines_without_values_are_left_out_and_gaps_stay_gaps(plt: Any) -> None:
    history = _history(validation=None)
    history[1] = record(2, loss=math.nan, validation=None)
    show_train_graph(history, CONFIG)
    left, _ = plt.gcf().axes
    drawn = {line.get_label(): line.get_xdata().tolist() for line in left.lines}
    assert drawn == {
        "Loss": [1, 3],
        "Faithfulness": [1, 2, 3],
        "Lambda × regularizer": [1, 2, 3],
    }


def test_a_script_that_does_not_draw_needs_no_drawing_library() -> None:
    code = (
        "import sys, sp_widget.methods.subnetwork_probing.function, sp_widget.report.train_graph\n"
        "print({'matplotlib', 'bqplot', 'ipywidgets', 'IPython'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.strip() == "set()"


def test_in_a_notebook_it_is_a_bqplot_figure() -> None:
    """In a real kernel; the widgets are read from what it sends to the front end."""
    kernel = Kernel()
    try:
        kernel.run(
            "from tests.report.test_train_graph import _history, CONFIG\n"
            "from sp_widget.report.train_graph import show_train_graph\n"
            "show_train_graph(_history(), CONFIG)\n"
        )
        sent = [message for _, message in kernel.seen]
        (shown,) = [m for m in sent if m["msg_type"] == "display_data"]
        view = shown["content"]["data"]["application/vnd.jupyter.widget-view+json"]
        states = {
            m["content"]["comm_id"]: m["content"]["data"]["state"]
            for m in sent
            if m["msg_type"] == "comm_open"
        }
        figure = states[view["model_id"]]
        assert (figure["_model_module"], figure["_model_name"]) == ("bqplot", "FigureModel")
        marks = [states[name.removeprefix("IPY_MODEL_")] for name in figure["marks"]]
        assert [mark["labels"] for mark in marks] == [[name] for name in EXPECTED]
        assert all(mark["display_legend"] for mark in marks)
        # The loss and the edge count are measured on scales of their own.
        scales = [mark["scales"]["y"] for mark in marks]
        assert scales[:4] == [scales[0]] * 4
        assert scales[4] != scales[0]
        axes = [states[name.removeprefix("IPY_MODEL_")] for name in figure["axes"]]
        assert {axis.get("label") for axis in axes} >= {"Step", "Edges in the circuit"}
        drawn = kernel.run(
            "import gc, json, bqplot\n"
            "lines = [x for x in gc.get_objects() if isinstance(x, bqplot.Lines)]\n"
            "print(json.dumps({line.labels[0]: line.y.tolist() for line in lines}))\n"
        )
        assert json.loads(drawn) == EXPECTED
        assert "matplotlib.pyplot" not in kernel.run("import sys; print(list(sys.modules))")
    finally:
        kernel.close()


@pytest.mark.parametrize("method", methods.names())
def test_no_two_lines_of_one_axis_look_the_same_without_colour(method: str) -> None:
    lines = methods.get(method).series_for(validation=True)
    styles = [(line.axis, line.line_style) for line in lines]
    assert len(set(styles)) == len(styles)


@pytest.mark.parametrize("method", methods.names())
def test_every_line_stands_out_from_a_white_and_from_a_black_ground(method: str) -> None:
    """Contrast 3 : 1, the WCAG's minimum for graphics."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for line in methods.get(method).series_for(validation=True):
        brightness = luminance(line.colour)
        assert 1.05 / (brightness + 0.05) >= 3
        assert (brightness + 0.05) / 0.05 >= 3

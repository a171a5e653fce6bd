"""The chart of a finished training, in a script and in a notebook."""

from __future__ import annotations

import base64
import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pytest
import torch
from PIL import Image

from sp_widget import methods
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.record import StepRecord
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.report.picture import snapshot
from sp_widget.report.train_graph import show_train_graph
from tests.model_kinds import bridge
from tests.widget.kernel import ROOT, Kernel
from tests.widget.records import record

PROBING = methods.get("subnetwork_probing")
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
        legend = left.get_legend()
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


def test_in_a_notebook_it_is_an_image_of_the_same_chart(plt: Any) -> None:
    """In a real kernel, without pyplot, which would keep the figure."""
    kernel = Kernel()
    try:
        kernel.run(
            "from tests.report.test_train_graph import _history, CONFIG\n"
            "from sp_widget.report.train_graph import show_train_graph\n"
            "show_train_graph(_history(), CONFIG)\n"
        )
        (shown,) = [m for _, m in kernel.seen if m["msg_type"] == "display_data"]
        content = shown["content"]
        assert content["data"]["text/plain"] == "Chart of 3 steps, loss 2, 5 edges"
        assert content["metadata"]["image/png"]["width"] == 1000
        image = Image.open(io.BytesIO(base64.b64decode(content["data"]["image/png"])))
        assert "matplotlib.pyplot" not in kernel.run("import sys; print(list(sys.modules))")
    finally:
        kernel.close()
    show_train_graph(_history(), CONFIG)
    here = io.BytesIO()
    plt.savefig(here, format="png", dpi=150)
    assert image.tobytes() == Image.open(here).tobytes()


def test_a_picture_has_the_same_chart(plt: Any) -> None:
    def drawn(figure: Any) -> list[tuple[Any, ...]]:
        return [
            (line.get_label(), line.get_color(), line.get_linestyle(), *line.get_ydata())
            for axes in figure.axes
            for line in axes.lines
        ]

    show_train_graph(_history(), CONFIG)
    model = patchable_model(bridge("native-attention-only"))
    scores = model.graph.split(torch.zeros(model.n_edges))
    picture = snapshot(model, scores, history=_history(), config=CONFIG)
    assert drawn(plt.gcf()) == drawn(picture.figure(["chart"]))
    assert len(drawn(plt.gcf())) == len(EXPECTED)


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

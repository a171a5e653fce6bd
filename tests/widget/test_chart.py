"""What the live chart shows, and that everybody can read it."""

from __future__ import annotations

import re

import pytest

from sp_widget.training.series import EDGES, REGULARIZER, series_for
from sp_widget.widget.chart import DASHES, Chart, legend_html
from sp_widget.widget.downsample import MAX_POINTS
from tests.widget.records import record


def lines(chart: Chart) -> dict[str, tuple[list[float], list[float]]]:
    chart.draw()
    return {line.labels[0]: (line.x.tolist(), line.y.tolist()) for line in chart._lines}


def test_the_lines_are_the_loss_its_parts_validation_and_edges() -> None:
    chart = Chart(series_for(validation=True))
    chart.append([record(1), record(2, loss=2.0, regularizer=0.125, hard_edge_count=4)])
    assert lines(chart) == {
        "Loss": ([1, 2], [3, 2]),
        "Faithfulness": ([1, 2], [1, 1]),
        "Lambda × regularizer": ([1, 2], [2, 1.25]),
        "Validation": ([1, 2], [1.5, 1.5]),
        "Edges in the circuit (right axis)": ([1, 2], [6, 4]),
    }
    assert chart.n_steps == 2


def test_the_regularizer_is_drawn_as_it_enters_the_loss() -> None:
    assert REGULARIZER.read(record(1, regularizer=0.5, regularize_lambda=4.0)) == 2.0


def test_without_validation_data_there_is_no_line_for_it() -> None:
    assert "Validation" not in {series.label for series in series_for(validation=False)}


def test_a_value_that_is_missing_or_not_finite_leaves_a_point_out() -> None:
    chart = Chart(series_for(validation=True))
    chart.append([record(1, validation=None), record(2), record(3, validation=float("inf"))])
    assert lines(chart)["Validation"] == ([2], [1.5])


def test_only_the_edges_are_on_the_right_axis_which_starts_at_zero() -> None:
    chart = Chart(series_for(validation=True))
    right = [axis for axis in chart._figure.axes if axis.side == "right"]
    assert [axis.label for axis in right] == ["Edges in the circuit"]
    on_right = [line.labels[0] for line in chart._lines if line.scales["y"] is right[0].scale]
    assert on_right == [EDGES.label]
    assert right[0].scale.min == 0


def test_the_axes_of_counts_have_room_for_whole_ticks_and_then_follow_the_data() -> None:
    chart = Chart(series_for(validation=False))
    scale = {axis.label: axis.scale for axis in chart._figure.axes}
    edges, steps = scale["Edges in the circuit"], scale["Step"]
    chart.append([record(1, hard_edge_count=6), record(2, hard_edge_count=10)])
    chart.draw()
    assert (edges.max, steps.max) == (10, 10)
    chart.append([record(step, hard_edge_count=11) for step in range(3, 12)])
    chart.draw()
    assert (edges.max, steps.max) == (None, None)
    chart.clear()
    chart.draw()
    assert (edges.max, steps.max) == (10, 10)


def test_a_long_run_keeps_its_peak_and_few_points() -> None:
    chart = Chart(series_for(validation=False))
    chart.append([record(step, loss=9.0 if step == 4321 else 1.0) for step in range(1, 20_001)])
    steps, losses = lines(chart)["Loss"]
    assert len(steps) <= MAX_POINTS
    assert (4321, 9.0) in zip(steps, losses, strict=True)
    assert steps[-1] == 20_000


def test_clear_forgets_the_run() -> None:
    chart = Chart(series_for(validation=False))
    chart.append([record(1)])
    chart.clear()
    assert lines(chart)["Loss"] == ([], [])
    assert chart.summary() == "Chart of the training: no steps yet."


def test_the_summary_says_in_words_what_the_lines_show() -> None:
    chart = Chart(series_for(validation=False))
    chart.append([record(1, loss=0.5, hard_edge_count=3), record(2, loss=0.75)])
    assert chart.summary() == (
        "Chart of the training after 2 steps. Loss 0.75, lowest 0.5; Faithfulness 1, lowest 1; "
        "Lambda × regularizer 2, lowest 2; Edges in the circuit (right axis) 6, lowest 3."
    )


def test_the_legend_names_every_line_in_text_with_a_sample_of_its_dashes() -> None:
    html = legend_html(series_for(validation=True))
    items = re.findall(r'<li>.*?stroke="(.*?)".*?stroke-dasharray="(.*?)".*?</svg>(.*?)</li>', html)
    assert items == [
        (series.colour, DASHES[series.line_style], series.label) for series in series_for(True)
    ]


def test_lines_on_one_axis_differ_without_their_colour() -> None:
    left = [series.line_style for series in series_for(True) if series.axis == "left"]
    assert len(set(left)) == len(left)
    # The one solid line on the right is a staircase.
    assert EDGES.stepped


@pytest.mark.parametrize("series", series_for(True), ids=lambda series: series.label)
@pytest.mark.parametrize("ground", ["#ffffff", "#111111"], ids=["light", "dark"])
def test_every_line_stands_out_from_a_light_and_a_dark_ground(series, ground: str) -> None:
    """Contrast of at least 3 : 1, as WCAG 2.2 (1.4.11) asks of graphics."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted([luminance(series.colour), luminance(ground)])
    assert (lighter + 0.05) / (darker + 0.05) >= 3

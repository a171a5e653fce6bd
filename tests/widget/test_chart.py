"""What the live chart is given to show, and that everybody can read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.series import EDGES, HARD_CIRCUIT
from sp_widget.methods.subnetwork_probing.method import METHOD, REGULARIZER
from sp_widget.report.chart_table import MAX_ROWS, table_steps
from sp_widget.report.downsample import MAX_POINTS
from sp_widget.widget.chart import Chart
from sp_widget.widget.past_run import PastRun
from sp_widget.widget.runs import COLOURS, colour_of, style_of
from tests.widget.drawn import live_lines, still_lines, unpacked
from tests.widget.records import record


@pytest.fixture
def make_chart() -> Iterator[Callable[..., Chart]]:
    charts: list[Chart] = []

    def make(validation: bool = False) -> Chart:
        charts.append(Chart(METHOD.series_for(validation)))
        return charts[-1]

    yield make
    for chart in charts:
        chart.close()


@pytest.fixture
def chart(make_chart: Callable[..., Chart]) -> Chart:
    return make_chart()


@pytest.fixture
def sent(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The states that are sent to the browser from now on."""
    messages: list[dict[str, Any]] = []

    def keep(data: dict[str, Any], buffers: object = None, metadata: object = None) -> None:
        messages.append({**data, "buffers": buffers})

    monkeypatch.setattr(chart.tools.comm, "send", keep)
    return messages


def evaluation(step: int, faithfulness: float) -> HardEvaluation:
    return HardEvaluation(step=step, edges=40, faithfulness=faithfulness, regularizer=0.1)


def from_browser(chart: Chart, **state: object) -> None:
    """Put in what a browser would send, at the same place as ipywidgets does."""
    chart.tools._handle_msg(
        {"content": {"data": {"method": "update", "state": state}}, "buffers": []}
    )


def test_a_count_is_drawn_in_steps_and_all_else_without(chart: Chart) -> None:
    drawn = {
        trace["label"]: {mark.interpolation for mark in trace["marks"]}
        for trace in chart.tools.traces
    }
    assert drawn.pop(EDGES.label) == {"step-before"}
    assert set.union(*drawn.values()) == {"linear"}


def test_the_lines_are_the_loss_its_parts_validation_and_edges(
    make_chart: Callable[..., Chart],
) -> None:
    chart = make_chart(validation=True)
    chart.append([record(1), record(2, loss=2.0, regularizer=0.125, hard_edge_count=4)])
    chart.draw()
    assert live_lines(chart) == {
        "Loss": ([1, 2], [3, 2]),
        "Faithfulness": ([1, 2], [1, 1]),
        "Lambda × regularizer": ([1, 2], [2, 1.25]),
        "Validation": ([1, 2], [1.5, 1.5]),
        "Edges in the circuit": ([1, 2], [6, 4]),
    }
    assert chart.n_steps == 2


def test_each_line_comes_with_its_last_and_its_lowest_value(chart: Chart) -> None:
    chart.append([record(1, loss=2.0), record(2, loss=0.5), record(3, loss=0.75)])
    chart.draw()
    assert (chart.tools.live[0]["last"], chart.tools.live[0]["lowest"]) == (0.75, 0.5)


def test_the_regularizer_is_drawn_as_it_enters_the_loss() -> None:
    assert REGULARIZER.read(record(1, regularizer=0.5, regularize_lambda=4.0)) == 2.0


def test_without_validation_data_there_is_no_line_for_it() -> None:
    assert "Validation" not in {series.label for series in METHOD.series_for(validation=False)}


def test_a_value_that_is_missing_or_not_finite_leaves_a_point_out(
    make_chart: Callable[..., Chart],
) -> None:
    chart = make_chart(validation=True)
    chart.append([record(1, validation=None), record(2), record(3, validation=float("inf"))])
    chart.draw()
    assert live_lines(chart)["Validation"] == ([2], [1.5])


def test_only_the_edges_are_in_the_lower_pane(chart: Chart) -> None:
    lower = chart.tools.parts["right"]
    on_right = {mark.labels[0] for mark in chart._figure.marks if mark.scales["y"] is lower}
    assert on_right == {EDGES.label}


def test_a_long_run_keeps_its_peak_and_few_points(chart: Chart) -> None:
    chart.append([record(step, loss=9.0 if step == 4321 else 1.0) for step in range(1, 20_001)])
    chart.draw()
    steps, losses = live_lines(chart)["Loss"]
    assert len(steps) <= MAX_POINTS
    assert (4321, 9.0) in zip(steps, losses, strict=True)
    assert steps[-1] == 20_000


def test_a_drawing_is_one_message_of_bounded_size(chart: Chart, sent: list[dict[str, Any]]) -> None:
    def size(n: int) -> int:
        chart.append([record(step) for step in range(chart.n_steps + 1, n + 1)])
        sent.clear()
        chart.draw()
        assert len(sent) == chart.messages_per_update == 1
        assert set(sent[0]["state"]) == {"live"}
        return sum(len(buffer) for buffer in sent[0]["buffers"])

    at_most = len(chart.tools.live) * (MAX_POINTS + MAX_POINTS / 2) * 2 * 4
    assert 0 < size(1_000) <= at_most
    assert size(50_000) <= at_most


def test_what_has_not_changed_is_not_sent_again(chart: Chart, sent: list[dict[str, Any]]) -> None:
    chart.append([record(1)])
    chart.show_evaluations([evaluation(1, 0.5)])
    chart.draw()
    chart.describe()
    sent.clear()
    chart.draw()
    chart.describe()
    chart.show_evaluations([evaluation(1, 0.5)])
    assert sent == []


def test_a_person_who_zooms_into_a_long_run_gets_every_step_there(chart: Chart) -> None:
    chart.append([record(step, loss=step % 7) for step in range(1, 20_001)])
    chart.draw()
    from_browser(chart, window=[5_000, 5_100])
    steps, losses = live_lines(chart)["Loss"]
    inside = [
        (step, loss)
        for step, loss in zip(steps, losses, strict=True)
        # As far again on both sides, for a person who pans.
        if 4_900 <= step <= 5_200
    ]
    assert inside == [(step, step % 7) for step in range(4_900, 5_201)]
    from_browser(chart, window=None)
    assert len(live_lines(chart)["Loss"][0]) <= MAX_POINTS


def test_clear_forgets_the_run_but_neither_earlier_runs_nor_how_a_person_looks_at_it(
    chart: Chart,
) -> None:
    chart.append([record(step) for step in range(1, 101)])
    chart.show_evaluations([evaluation(1, 0.5)])
    chart.show_runs([PastRun("first", [record(1)])])
    from_browser(chart, window=[10, 30], smoothing=0.5, log_axes=["left"], hidden=["Loss"])
    chart.clear()
    chart.draw()
    assert live_lines(chart)["Loss"] == ([], [])
    assert still_lines(chart)[HARD_CIRCUIT.label] == ([], [])
    assert still_lines(chart)["Loss, first"] == ([1], [3])
    assert chart.summary() == "Chart of the training: no steps yet."
    assert chart.tools.window is None
    assert (chart.tools.smoothing, chart.tools.log_axes, chart.tools.hidden) == (
        0.5,
        ["left"],
        ["Loss"],
    )


def test_earlier_runs_are_thin_lines_of_one_quantity_each_in_its_colour(chart: Chart) -> None:
    runs = [
        PastRun(name, [record(1, loss=loss), record(2)], [evaluation(2, 0.5)], colour)
        for name, loss, colour in [("a", 4.0, "#d1495b"), ("b", 5.0, "#3a7ca5")]
    ]
    chart.show_runs(runs)
    earlier = {name: line for name, line in still_lines(chart).items() if ", " in name}
    del earlier[HARD_CIRCUIT.label]
    assert earlier == {"Loss, a": ([1, 2], [4, 3]), "Loss, b": ([1, 2], [5, 3])}
    looks = {(t["label"], t["run"]): t for t in chart.tools.traces}
    assert looks["Loss", "a"]["colour"] != looks["Loss", "b"]["colour"]
    assert looks["Loss", "a"]["stroke_width"] < looks["Loss", ""]["stroke_width"]

    from_browser(chart, quantity="Edges in the circuit")
    assert still_lines(chart)["Edges in the circuit, b"] == ([1, 2], [6, 6])
    assert "Loss, b" not in still_lines(chart)
    from_browser(chart, quantity=HARD_CIRCUIT.label)
    assert still_lines(chart)[f"{HARD_CIRCUIT.label}, a"] == ([2], [0.5])


def test_other_earlier_runs_replace_those_before_them(chart: Chart) -> None:
    marks = len(chart._figure.marks)
    chart.show_runs([PastRun("a", [record(1)]), PastRun("b", [record(1)])])
    former = set(chart._figure.marks)
    chart.show_runs([PastRun("c", [record(1)])])
    assert {t["run"] for t in chart.tools.traces} == {"", "c"}
    gone = former - set(chart._figure.marks)
    assert gone
    assert all(mark.comm is None for mark in gone)
    chart.show_runs([])
    assert len(chart._figure.marks) == marks


def test_the_hard_circuit_has_a_marker_for_every_evaluation(chart: Chart) -> None:
    assert still_lines(chart)[HARD_CIRCUIT.label] == ([], [])
    chart.show_evaluations([evaluation(10, 0.5), evaluation(20, float("nan"))])
    chart.show_evaluations([evaluation(10, 0.5), evaluation(30, 0.25)])
    assert still_lines(chart)[HARD_CIRCUIT.label] == ([10, 30], [0.5, 0.25])
    (trace,) = [t for t in chart.tools.traces if t["label"] == HARD_CIRCUIT.label]
    assert trace["marker"]
    assert all(mark.marker == "diamond" for mark in trace["marks"])
    chart.append([record(30)])
    assert f"{HARD_CIRCUIT.label} 0.25, lowest 0.25" in chart.summary()


def test_the_summary_says_in_words_what_the_lines_show(chart: Chart) -> None:
    chart.append([record(1, loss=0.5, hard_edge_count=3), record(2, loss=0.75)])
    chart.describe()
    assert chart.tools.summary == chart.summary()
    assert chart.summary() == (
        "Chart of the training after 2 steps. Loss 0.75, lowest 0.5; Faithfulness 1, lowest 1; "
        "Lambda × regularizer 2, lowest 2; Edges in the circuit 6, lowest 3."
    )


def test_the_table_has_exact_values_at_even_steps_and_at_both_ends(
    make_chart: Callable[..., Chart],
) -> None:
    chart = make_chart(validation=True)
    chart.append(
        [record(n, loss=n / 3, validation=None if n == 50 else 1.5) for n in range(1, 124)]
    )
    chart.show_evaluations([evaluation(48, 0.5), evaluation(70, 0.25)])
    chart.describe()
    table = chart.tools.table
    assert table["columns"] == [each.label for each in (HARD_CIRCUIT, *METHOD.series_for(True))]
    steps = [row[0] for row in table["rows"]]
    assert steps == [1, *range(5, 121, 5), 123]
    assert [row[2] for row in table["rows"]] == [step / 3 for step in steps]
    assert table["rows"][steps.index(50)][5] is None
    # An evaluation holds until the next.
    evaluated = {step: row[1] for step, row in zip(steps, table["rows"], strict=True)}
    assert [evaluated[step] for step in (45, 50, 70, 123)] == [None, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("last", [1, 2, 29, 30, 31, 100, 999, 12_345, 100_000, 10_000_000])
def test_the_table_is_short_and_evenly_spaced(last: int) -> None:
    steps = table_steps(1, last)
    assert (steps[0], steps[-1]) == (1, last)
    assert min(last, MAX_ROWS / 3) <= len(steps) <= MAX_ROWS
    assert len({b - a for a, b in pairwise(steps[1:-1])}) <= 1
    interval = steps[2] - steps[1] if len(steps) > 3 else 1
    assert str(interval).rstrip("0") in {"1", "2", "5"}


def test_lines_on_one_axis_differ_without_their_colour() -> None:
    left = [series.line_style for series in METHOD.series_for(True) if series.axis == "left"]
    assert len(set(left)) == len(left)
    # The one solid line on the right is a staircase.
    assert EDGES.stepped


def test_every_line_can_be_smoothed_but_counts_and_evaluations(
    make_chart: Callable[..., Chart],
) -> None:
    chart = make_chart(validation=True)
    chart.show_evaluations([evaluation(1, 0.5)])
    smooth = {t["label"] for t in chart.tools.traces if len(t["marks"]) == 2}
    assert smooth == {"Loss", "Faithfulness", "Lambda × regularizer", "Validation"}


def test_a_long_line_is_smoothed_from_means_a_short_one_from_its_points(chart: Chart) -> None:
    chart.append([record(step, loss=step % 4) for step in range(1, 2_001)])
    chart.draw()
    assert chart.tools.live[0]["means"] == b""
    chart.append([record(step, loss=step % 4) for step in range(2_001, 8_001)])
    chart.draw()
    # 0, 1, 2, 3 in turn, whatever the bucket.
    _, means = unpacked(chart.tools.live[0]["means"])
    assert set(means) == {1.5}


def test_a_closed_chart_leaves_no_widget_behind(make_chart: Callable[..., Chart]) -> None:
    chart = make_chart()
    chart.show_runs([PastRun("a", [record(1)])])
    widgets = [chart.view, chart.tools, chart._figure, *chart._figure.marks, *chart._figure.axes]
    chart.close()
    assert all(widget.comm is None for widget in widgets)


@pytest.mark.parametrize("ground", ["#ffffff", "#212121"], ids=["light", "dark"])
def test_every_line_stands_out_from_a_light_and_a_dark_ground(ground: str) -> None:
    """Contrast of at least 3 : 1, as WCAG 2.2 (1.4.11) asks of graphics."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    series = [each.colour for each in (*METHOD.series_for(True), HARD_CIRCUIT)]
    for colour in (*series, *COLOURS):
        darker, lighter = sorted([luminance(colour), luminance(ground)])
        assert (lighter + 0.05) / (darker + 0.05) >= 3, colour


def test_no_two_of_forty_runs_look_the_same() -> None:
    assert len({(colour_of(number), style_of(number)) for number in range(1, 41)}) == 40

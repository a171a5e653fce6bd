"""Chart, circuit and tables on one page."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import Series
from sp_widget.report.circuit_data import GraphData
from sp_widget.report.draw_chart import Rectangle, draw_chart
from sp_widget.report.draw_circuit import MOST_DRAWN, draw_circuit, legend_of, place_circuit
from sp_widget.report.drawing import (
    CHART_HEIGHT,
    GROUND,
    LINE,
    MUTED,
    PAGE_WIDTH,
    TEXT,
    UNITS_PER_INCH,
    draw_legend,
    line_width,
    text_width,
    without_frame,
    write,
)
from sp_widget.report.groups import NodeGroup
from sp_widget.report.picture import PARTS, Part
from sp_widget.report.plain_text import plain
from sp_widget.report.tables import Rows
from sp_widget.report.top_circuit import TopCircuit

EDGE, TITLE, CAPTION, LEGEND, GAP, ROW = 14.0, 44.0, 30.0, 34.0, 16.0, 19.0
"""Heights of the parts of a page, and its rim."""

WIDEST_TABLE, BETWEEN_TABLES = 360.0, 28.0

TABLE_LETTERS = 11.0

MOST_LINES = 4
"""Of a value that is too long for one; what is longer is cut."""


def page(
    parts: Collection[Part],
    title: str,
    series: Sequence[Series],
    history: Sequence[StepRecord],
    evaluations: Sequence[HardEvaluation],
    faithfulness_target: str,
    data: GraphData,
    circuit: TopCircuit,
    tables: Mapping[str, Rows],
    groups: Sequence[NodeGroup],
) -> Figure:
    """Return the figure of some parts, from top to bottom: title, chart, circuit, tables."""
    layout = place_circuit(data, circuit, PAGE_WIDTH - 2 * EDGE)
    width = (layout.width if "circuit" in parts else PAGE_WIDTH - 2 * EDGE) + 2 * EDGE
    inner = width - 2 * EDGE
    columns = {
        heading: _lines(rows, _column(inner, len(tables)) - BETWEEN_TABLES)
        for heading, rows in tables.items()
    }
    rows = max(map(len, columns.values()), default=0)
    heights: dict[Part, float] = {
        "title": TITLE,
        "chart": CHART_HEIGHT,
        "circuit": CAPTION + layout.height + LEGEND,
        "tables": (rows + 1) * ROW + GAP,
    }
    height = 2 * EDGE + sum(heights[part] for part in parts)
    # Not by pyplot, which keeps every figure and belongs to one thread.
    figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH), facecolor=GROUND)

    def axes(left: float, bottom: float, wide: float, high: float) -> Any:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    sheet = axes(0, 0, width, height)
    without_frame(sheet, width, height)
    at = height - EDGE
    for part in PARTS:
        if part not in parts:
            continue
        at -= heights[part]
        if part == "title":
            write(sheet, EDGE, at + 20, title, 17, bold=True, color=TEXT)
        elif part == "chart":
            draw_chart(
                figure,
                Rectangle(EDGE, at, inner, CHART_HEIGHT),
                series,
                history,
                evaluations,
                faithfulness_target=faithfulness_target,
            )
        elif part == "circuit":
            words = (
                f"A circuit of {circuit.size:,} edges, {circuit.n_switched:,} switched by hand"
                if circuit.n_switched
                else f"The circuit of the {circuit.size:,} most important edges"
            )
            if circuit.size > MOST_DRAWN:
                words += f", of which the first {MOST_DRAWN} are drawn"
            top = at + LEGEND + layout.height
            write(sheet, EDGE, top + 12, words, 13, bold=True, color=TEXT)
            drawn = axes(EDGE, at + LEGEND, layout.width, layout.height)
            without_frame(drawn, layout.width, layout.height, downwards=True)
            draw_circuit(drawn, data, circuit, layout, groups)
            handles = legend_of(circuit, ported=any(d["port"] for d in data["destinations"]))
            draw_legend(sheet, handles, "center", (0.5, (at + LEGEND / 2) / height))
        else:
            _draw_tables(axes(EDGE, at, inner, heights[part]), inner, heights[part], columns)
    return figure


def _draw_tables(axes: Any, width: float, height: float, tables: Mapping[str, Rows]) -> None:
    without_frame(axes, width, height)
    column = _column(width, len(tables))
    for number, (heading, rows) in enumerate(tables.items()):
        left = number * column
        right = left + column - BETWEEN_TABLES
        y = height - GAP - ROW / 2
        write(axes, left, y, heading, 12, bold=True, color=TEXT, va="center")
        for name, value in rows:
            # A line without a name belongs to the row above it.
            if name:
                axes.plot([left, right], [y - ROW / 2] * 2, color=LINE, linewidth=line_width(0.8))
            y -= ROW
            write(axes, left, y, name, TABLE_LETTERS, color=MUTED, va="center")
            write(axes, right, y, value, TABLE_LETTERS, color=TEXT, va="center", ha="right")


def _column(width: float, n_tables: int) -> float:
    return min(width / n_tables, WIDEST_TABLE)


def _lines(rows: Rows, width: float) -> Rows:
    """Return rows whose values have room beside their names; longer ones stand in lines below."""
    fitted: Rows = []
    for name, value in rows:
        value = plain(value)
        wide = text_width(value, TABLE_LETTERS)
        if text_width(f"{name}  ", TABLE_LETTERS) + wide <= width:
            fitted.append((name, value))
            continue
        most = max(1, int(len(value) * width / wide))
        lines = textwrap.wrap(value, most, max_lines=MOST_LINES, placeholder="…")
        fitted += [(name, ""), *(("", line) for line in lines)]
    return fitted

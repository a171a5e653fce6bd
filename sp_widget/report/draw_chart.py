"""The training as a chart that stands still: the one that pictures, pages and scripts show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import AXIS_LABELS, HARD_CIRCUIT, Series, evaluation_points
from sp_widget.report.drawing import (
    LINE,
    LINES,
    MUTED,
    TEXT,
    UNITS_PER_INCH,
    draw_legend,
    font,
    line_width,
)


class Rectangle(NamedTuple):
    """A piece of a figure, in units from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


LEFT, RIGHT, BELOW, ABOVE = 62.0, 68.0, 56.0, 34.0
"""What the chart takes around its plot, for labels and the legend."""


def draw_chart(
    figure: Any,
    place: Rectangle,
    series: Sequence[Series],
    history: Sequence[StepRecord],
    evaluations: Sequence[HardEvaluation] = (),
    *,
    faithfulness_target: str,
) -> None:
    """Draw `series` of a history into a piece of a matplotlib figure, the legend above them.

    Loss and its terms are on the left axis, the number of edges is on the right one. A marker on
    the left axis is an evaluation of the hard circuit on the validation data.
    """
    width, height = (inches * UNITS_PER_INCH for inches in figure.get_size_inches())
    left = figure.add_axes(
        (
            (place.left + LEFT) / width,
            (place.bottom + BELOW) / height,
            (place.width - LEFT - RIGHT) / width,
            (place.height - ABOVE - BELOW) / height,
        )
    )
    right = left.twinx()
    sides = {"left": left, "right": right}
    handles = []
    lines: list[tuple[Series, list[tuple[float, float]]]] = [
        *((each, each.points(history)) for each in series),
        (HARD_CIRCUIT, evaluation_points(evaluations)),
    ]
    for each, points in lines:
        if not points:
            continue
        measured = each is HARD_CIRCUIT
        handles += sides[each.axis].plot(
            [x for x, _ in points],
            [y for _, y in points],
            label=each.label if each.axis == "left" else f"{each.label} (right axis)",
            color=each.colour,
            linestyle=LINES[each.line_style],
            linewidth=line_width(each.stroke_width),
            drawstyle="steps-pre" if each.stepped else "default",
            # A run of one step is a point.
            marker="D" if measured else "o" if len(points) == 1 else None,
            markersize=4 if measured else 3,
        )
    right.set_ylim(bottom=0)
    left.set_facecolor("none")
    right.set_facecolor("none")
    left.grid(visible=True, axis="y", color=LINE, linewidth=line_width(0.7), linestyle="-")
    right.grid(visible=False)
    words = font(12)
    of_target = f" ({faithfulness_target})" if faithfulness_target else ""
    left.set_xlabel(AXIS_LABELS["steps"], color=TEXT, fontproperties=words)
    left.set_ylabel(AXIS_LABELS["left"] + of_target, color=TEXT, fontproperties=words)
    right.set_ylabel(AXIS_LABELS["right"], color=TEXT, fontproperties=words)
    for side in sides.values():
        side.tick_params(colors=MUTED, width=line_width(1))
        for label in (*side.get_xticklabels(), *side.get_yticklabels()):
            label.set_fontproperties(font(11))
        side.spines["top"].set_visible(False)
        for name in ("left", "right", "bottom"):
            side.spines[name].set_color(MUTED)
            side.spines[name].set_linewidth(line_width(1))
    draw_legend(left, handles, "lower left", (0, 1))

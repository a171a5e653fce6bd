"""The training as a chart: the lines of the live chart, standing still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import HARD_CIRCUIT, Series, evaluation_points
from sp_widget.report.look import LINE, LINES, MUTED, TEXT, draw_legend, font, line_width


def draw_chart(
    axes: Any,
    history: Sequence[StepRecord],
    evaluations: Sequence[HardEvaluation],
    series: Sequence[Series],
    faithfulness_target: str,
) -> None:
    """Draw loss and its terms on the left axis, the number of edges on the right one.

    A marker on the left axis is an evaluation of the hard circuit on the validation data.
    """
    right = axes.twinx()
    sides = {"left": axes, "right": right}
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
            label=each.label,
            color=each.colour,
            linestyle=LINES[each.line_style],
            linewidth=line_width(each.stroke_width),
            drawstyle="steps-pre" if each.stepped else "default",
            # A run of one step is a point.
            marker="D" if measured else "o" if len(points) == 1 else None,
            markersize=4 if measured else 3,
        )
    right.set_ylim(bottom=0)
    axes.set_facecolor("none")
    right.set_facecolor("none")
    axes.grid(visible=True, axis="y", color=LINE, linewidth=line_width(0.7), linestyle="-")
    right.grid(visible=False)
    axes.set_xlabel("Step", color=TEXT, fontproperties=font(12))
    axes.set_ylabel(
        f"Loss and its terms ({faithfulness_target})", color=TEXT, fontproperties=font(12)
    )
    right.set_ylabel("Edges in the circuit", color=TEXT, fontproperties=font(12))
    for side in sides.values():
        side.tick_params(colors=MUTED, width=line_width(1))
        for label in (*side.get_xticklabels(), *side.get_yticklabels()):
            label.set_fontproperties(font(11))
        side.spines["top"].set_visible(False)
        for name in ("left", "right", "bottom"):
            side.spines[name].set_color(MUTED)
            side.spines[name].set_linewidth(line_width(1))
    draw_legend(axes, handles, "lower left", (0, 1))

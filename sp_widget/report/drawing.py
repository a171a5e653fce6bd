"""Colours, letters and measures of the pictures, as the views have them in a light theme.

Everything is stated: what a person set in matplotlib's own settings, such as a dark style, is for
their figures. A unit is a hundredth of an inch, about a pixel on a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.font_manager import FontProperties

from sp_widget.report.plain_text import plain

UNITS_PER_INCH = 100
PAGE_WIDTH = 1000.0
CHART_HEIGHT = 320.0
DOTS_PER_INCH = 150
"""Of images made of pixels."""
TEXT, MUTED, LINE, GROUND = "#212121", "#616161", "#d5d5d5", "#ffffff"
BRAND, SECOND, SUCCESS = "#1976d2", "#c75b00", "#388e3c"
LEGEND_SIZE = 11.0
SAMPLE_LENGTH, SAMPLE_GAP, COLUMN_GAP = 2.6, 0.8, 1.3
"""Of a legend, in heights of its letters."""
LINES = {"solid": "-", "dashed": "--", "dotted": ":", "dash_dotted": "-."}


def font(size: float, *, bold: bool = False) -> FontProperties:
    """The letters that matplotlib brings along, of a height in units."""
    # Points, of which an inch has 72.
    points = size * 72 / UNITS_PER_INCH
    return FontProperties(family="DejaVu Sans", size=points, weight="bold" if bold else "normal")


def write(
    axes: Any, x: float, y: float, text: str, size: float, *, bold: bool = False, **look: Any
) -> None:
    """Write letters that are shown as they are, cut where they are long.

    Labels and titles come from data and models: `$` begins no formula.
    """
    letters = font(size, bold=bold)
    text = plain(text)
    axes.text(x, y, text, fontproperties=letters, parse_math=False, usetex=False, **look)


def text_width(text: str, size: float) -> float:
    """Return how wide `write` makes a text, in units."""
    from matplotlib.textpath import text_to_path

    # In points, of which an inch has 72.
    points, _, _ = text_to_path.get_text_width_height_descent(plain(text), font(size), False)
    return float(points) / 72 * UNITS_PER_INCH


def line_width(units: float) -> float:
    """A width in units as matplotlib wants it, in points."""
    return units * 72 / UNITS_PER_INCH


def mixed(colour: str, share: float, other: str) -> str:
    """`share` of one colour, the rest of another."""
    red, green, blue = share * np.array(to_rgb(colour)) + (1 - share) * np.array(to_rgb(other))
    return to_hex((red, green, blue))


def without_frame(axes: Any, width: float, height: float, *, downwards: bool = False) -> None:
    """Turn axes into a sheet of paper, in units from its lower or its upper left corner."""
    axes.set_xlim(0, width)
    axes.set_ylim(*((height, 0) if downwards else (0, height)))
    axes.axis("off")


def legend_columns(handles: Sequence[Any], width: float) -> int:
    """Return how many columns of a legend have room in a width, at least one."""
    # What an entry has beside its text.
    beside = LEGEND_SIZE * (SAMPLE_LENGTH + SAMPLE_GAP + COLUMN_GAP)
    widths = [text_width(each.get_label(), LEGEND_SIZE) + beside for each in handles]

    def fits(columns: int) -> bool:
        # As matplotlib deals them out.
        return bool(sum(column.max() for column in np.array_split(widths, columns)) <= width)

    return next((n for n in range(len(widths), 1, -1) if fits(n)), 1)


def draw_legend(
    axes: Any,
    handles: Sequence[Any],
    place: str,
    anchor: tuple[float, float],
    *,
    columns: int | None = None,
) -> None:
    """Samples in so many columns, by default in one row; its `place` at `anchor`.

    Both as matplotlib names them.
    """
    legend = axes.legend(
        handles=handles,
        loc=place,
        bbox_to_anchor=anchor,
        ncols=max(1, len(handles)) if columns is None else columns,
        frameon=False,
        prop=font(LEGEND_SIZE),
        labelcolor=TEXT,
        borderaxespad=0.2,
        handlelength=SAMPLE_LENGTH,
        handletextpad=SAMPLE_GAP,
        columnspacing=COLUMN_GAP,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)

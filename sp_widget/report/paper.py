"""The circuit alone, as a figure for a paper: as large as it is printed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from sp_widget.errors import ArgumentError
from sp_widget.report.circuit_data import GraphData
from sp_widget.report.circuit_layout import lay_out
from sp_widget.report.draw_circuit import draw_circuit, legend_of, spots_of_circuit
from sp_widget.report.drawing import (
    GROUND,
    UNITS_PER_INCH,
    draw_legend,
    legend_columns,
    without_frame,
)
from sp_widget.report.groups import NodeGroup
from sp_widget.report.top_circuit import TopCircuit

MM_PER_INCH = 25.4
DOTS_PER_INCH = 600
"""Of images made of pixels: what journals ask of line art."""
LEGEND_ROW = 16.0


def paper_figure(
    data: GraphData, circuit: TopCircuit, width_mm: float, groups: Sequence[NodeGroup] = ()
) -> Figure:
    """Return the figure: the nodes of the circuit, its edges, and a legend below them.

    Letters are not made smaller to fit. Raises `ArgumentError` for a width without room for the
    nodes, with the one that they need.
    """
    width = width_mm / MM_PER_INCH * UNITS_PER_INCH
    layout = lay_out(data, spots_of_circuit(data, circuit), width)
    # Rounded up, so that what the error asks for is enough.
    needed = math.ceil(layout.width / UNITS_PER_INCH * MM_PER_INCH)
    if needed > math.ceil(width_mm):
        raise ArgumentError("width_mm", f"at least {needed} for the nodes of the circuit", width_mm)
    handles = legend_of(circuit, ported=any(d["port"] for d in data["destinations"]))
    columns = legend_columns(handles, width)
    legend = LEGEND_ROW * math.ceil(len(handles) / columns) + 6
    height = layout.height + legend
    figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH), facecolor=GROUND)
    sheet = figure.add_axes((0, 0, 1, 1))
    without_frame(sheet, width, height)
    axes = figure.add_axes((0, legend / height, 1, layout.height / height))
    without_frame(axes, width, layout.height, downwards=True)
    draw_circuit(axes, data, circuit, layout, groups)
    draw_legend(sheet, handles, "center", (0.5, legend / 2 / height), columns=columns)
    return figure

"""The circuit, drawn through the layers of the model; the circuit view's look, standing still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path

from sp_widget.graph.edge_graph import Edge
from sp_widget.report.circuit_data import BoxData, DestinationData, GraphData, Kind, Port
from sp_widget.report.circuit_layout import WIDE, Box, Layout, Spot, lay_out
from sp_widget.report.drawing import (
    BRAND,
    GROUND,
    LINE,
    MUTED,
    SECOND,
    SUCCESS,
    TEXT,
    line_width,
    mixed,
    write,
)
from sp_widget.report.edge_routes import Point, port_height, port_x, route
from sp_widget.report.groups import GROUP_COLOURS, GROUP_DASHES, NodeGroup, Outline, outlines
from sp_widget.report.top_circuit import VERDICT_LABELS, TopCircuit, TopEdge, Verdict

MOST_DRAWN = 400
"""Edges that an eye can follow; of larger circuits the most important are drawn."""
WIDEST = 2400.0
"""Where all nodes would be wider than this, those outside of the circuit are left out."""
THIN, THICK = 0.8, 3.4
"""Widths of the weakest and of the strongest edge."""
MARK_SIZE = 5.5
"""Diameter of the ring on an edge with a negative score."""
MISS_WIDTH = 1.8
"""A missing edge has a low score by nature, and must be seen all the same."""
ARROW_LENGTH, ARROW_WIDTH = 6.0, 2.2
"""Of an arrowhead: how long it is, and how much wider than its line on either side."""

LETTER = 6.9
"""Width of a bold letter of a name."""

NodeState = Literal["alive", "idle", "out"]
"""A node is on a path from input to output, with edges that carry nothing, without edges."""
Dash = tuple[float, ...]
"""Lengths of the strokes and the gaps in turn; none: a solid line."""
PORT_DASHES: dict[Port, Dash] = {"": (), "Q": (7, 4), "K": (2, 3), "V": ()}
"""Q, K and V by their dashes, where these do not tell hits from extras."""
VERDICT_DASHES: dict[Verdict, Dash] = {"hit": (), "miss": (8, 5), "extra": (2, 3.5)}
VERDICT_COLOURS: dict[Verdict, str] = {"hit": "#1565c0", "miss": "#7a0c1e", "extra": "#d9730d"}
"""Apart for every kind of colour vision, and apart in grey."""
_FILLS: dict[Kind, str] = {
    "mlp": mixed(SUCCESS, 0.18, GROUND),
    "start": "#eeeeee",
    "mid": "#eeeeee",
    "post": "#eeeeee",
    "end": "#eeeeee",
}
_CORNERS: dict[Kind, float] = {"mlp": 11.0, "start": 3.0, "mid": 3.0, "post": 3.0, "end": 3.0}


def place_circuit(data: GraphData, circuit: TopCircuit, page: float) -> Layout:
    """Places for all nodes, or only those of the circuit where all would be too many."""
    positions = range(len(data["positions"] or [""]))
    every = [(p, i) for p in positions for i in range(len(data["boxes"]))]
    layout = lay_out(data, every, page)
    if layout.width <= WIDEST:
        return layout
    return lay_out(data, spots_of_circuit(data, circuit), page)


def spots_of_circuit(data: GraphData, circuit: TopCircuit) -> list[Spot]:
    """Input and output of the model at every position, and the boxes that an edge touches."""
    ends = {i for i, box in enumerate(data["boxes"]) if box["kind"] in ("start", "end")}
    positions = range(len(data["positions"] or [""]))
    touched = {spot for each in circuit.edges for spot in spots_of(data, each.edge)}
    return sorted(touched | {(position, box) for position in positions for box in ends})


def spots_of(data: GraphData, edge: Edge) -> tuple[Spot, Spot]:
    """The boxes that an edge leaves and reaches."""
    position = edge.seq_idx or 0
    source = data["sources"][edge.src.src_idx]
    return (position, source), (position, _destination(data, edge)["box"])


Arrow: TypeAlias = tuple[list[Point], tuple[float, float, float, float]]
"""Its corners, and its colour with the opacity."""


def draw_circuit(
    axes: Any,
    data: GraphData,
    circuit: TopCircuit,
    layout: Layout,
    groups: Sequence[NodeGroup] = (),
) -> None:
    """Draw into axes whose units are those of the layout, downwards from the upper left corner."""
    _draw_labels(axes, data, layout)
    included = [each for each in circuit.edges if each.verdict != "miss"]
    drawn = [each for each in circuit.edges if each.verdict == "miss"]
    drawn += included[:MOST_DRAWN]
    # The most important lies on top, and what carries nothing below.
    drawn.sort(key=lambda each: (each.verdict == "miss" or each.carries, abs(each.score)))
    ramp = _ramp(circuit)
    arrows: list[Arrow] = []
    ports: set[tuple[Spot, Port]] = set()
    for each in drawn:
        source, dest = spots_of(data, each.edge)
        port = _destination(data, each.edge)["port"]
        shared = data["boxes"][dest[1]]["kind"] == "shared"
        points = route(layout, source, dest, port, shared, each.place)
        arrows.append(_draw_edge(axes, each, points, port, ramp))
        if port:
            ports.add((dest, port))
    # All together: an artist for each takes as much memory as the line itself.
    axes.add_collection(
        PolyCollection(
            [corners for corners, _ in arrows],
            facecolors=[colour for _, colour in arrows],
            linewidths=0,
        )
    )
    alive = {s for each in circuit.carrying for s in spots_of(data, each.edge)}
    touched = {
        s for each in circuit.edges if each.verdict != "miss" for s in spots_of(data, each.edge)
    }
    for outline in outlines(data, layout, groups):
        _draw_outline(axes, outline, groups[outline.group].name)
    for spot, box in layout.boxes.items():
        state: NodeState = "alive" if spot in alive else "idle" if spot in touched else "out"
        _draw_box(axes, data["boxes"][spot[1]], box, layout.box_height, state)
    for spot, port in sorted(ports):
        _draw_port(axes, data["boxes"][spot[1]]["kind"], layout, spot, port)


def legend_of(circuit: TopCircuit, *, ported: bool) -> list[Line2D]:
    """What the lines of the picture mean, for a legend. `ported`: the heads have Q, K and V."""
    if circuit.compared:
        return [
            _sample(f"{text} ({circuit.count(v):,})", VERDICT_COLOURS[v], 2.0, VERDICT_DASHES[v])
            for v, text in VERDICT_LABELS.items()
        ]
    samples = []
    ramp = _ramp(circuit)
    drawn = circuit.edges[:MOST_DRAWN]
    for name, scores in (
        ("Score", [each.score for each in drawn if each.score >= 0]),
        ("Negative", [each.score for each in drawn if each.score < 0]),
    ):
        if not scores:
            continue
        for extreme, score in ("highest", max(scores, key=abs)), ("lowest", min(scores, key=abs)):
            text = f"{name} {score:.3g} ({extreme})"
            colour, width = weight_of(score, ramp)
            samples.append(_sample(text, colour, width, marked=score < 0))
    if ported:
        colour = mixed(BRAND, 0.72, TEXT)
        samples.append(_sample("Into Q", colour, 1.8, PORT_DASHES["Q"]))
        samples.append(_sample("Into K", colour, 1.8, PORT_DASHES["K"]))
    if len(circuit.carrying) < circuit.size:
        samples.append(_sample("On no path from input to output", mixed(MUTED, 0.5, GROUND), THIN))
    return samples


def _sample(
    label: str, colour: str, width: float, dash: Dash = (), *, marked: bool = False
) -> Line2D:
    look = _negative_mark(colour) if marked else {}
    return Line2D(
        [], [], label=label, color=colour, linewidth=line_width(width), linestyle=(0, dash), **look
    )


def _negative_mark(colour: str) -> dict[str, Any]:
    """The ring on edges with a negative score: their colour alone says it to nobody in grey."""
    return {
        "marker": "o",
        "markersize": line_width(MARK_SIZE),
        "markerfacecolor": GROUND,
        "markeredgecolor": colour,
        "markeredgewidth": line_width(1.2),
    }


def _ramp(circuit: TopCircuit) -> tuple[float, float]:
    """Return the least and the largest absolute score of the edges that are drawn."""
    sizes = [abs(each.score) for each in circuit.edges[: min(circuit.size, MOST_DRAWN)]]
    # An infinite score is drawn like the strongest one.
    return min(sizes, default=0.0), min(max(sizes, default=0.0), circuit.strongest)


def weight_of(score: float, ramp: tuple[float, float]) -> tuple[str, float]:
    """Return colour and width of a score: the stronger, the darker and thicker."""
    weakest, strongest = ramp
    share = min(1.0, (abs(score) - weakest) / (strongest - weakest)) if strongest > weakest else 1.0
    share = max(0.0, share)
    colour = SECOND if score < 0 else BRAND
    low, high = mixed(colour, 0.38, GROUND), mixed(colour, 0.72, TEXT)
    return mixed(high, share, low), THIN + (THICK - THIN) * share


def _draw_edge(
    axes: Any, each: TopEdge, points: Sequence[Point], port: Port, ramp: tuple[float, float]
) -> Arrow:
    """Draw a line, and return the arrowhead at its end."""
    colour, width = weight_of(each.score, ramp)
    dash = PORT_DASHES[port]
    if each.verdict:
        colour, dash = VERDICT_COLOURS[each.verdict], VERDICT_DASHES[each.verdict]
    faded = not each.carries and each.verdict != "miss"
    if faded:
        width = THIN
    elif each.verdict == "miss":
        width = MISS_WIDTH
    alpha = 0.45 if faded else 1.0
    # Lines arrive upright: the arrow takes the place of the last piece.
    x, y = points[-1]
    half = width / 2 + ARROW_WIDTH
    path = Path(
        [*points[:-1], (x, y + ARROW_LENGTH)],
        [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1),
    )
    axes.add_patch(
        PathPatch(
            path,
            fill=False,
            edgecolor=colour,
            linewidth=line_width(width),
            linestyle=(0, dash),
            alpha=alpha,
            capstyle="butt",
        )
    )
    if each.score < 0 and not each.verdict and not faded:
        (curve,) = map(np.asarray, path.to_polygons(closed_only=False))
        middle_x, middle_y = curve[len(curve) // 2]
        # Below the boxes, as the edge.
        axes.plot([middle_x], [middle_y], zorder=1, **_negative_mark(colour))
    corners = [(x, y), (x - half, y + ARROW_LENGTH), (x + half, y + ARROW_LENGTH)]
    return corners, to_rgba(colour, alpha)


def _draw_outline(axes: Any, outline: Outline, name: str) -> None:
    colour = GROUP_COLOURS[outline.group % len(GROUP_COLOURS)]
    axes.add_patch(
        FancyBboxPatch(
            (outline.left, outline.top),
            outline.width,
            outline.height,
            boxstyle="round,pad=0,rounding_size=6",
            facecolor=mixed(colour, 0.12, GROUND),
            edgecolor=colour,
            linewidth=line_width(1.6),
            linestyle=GROUP_DASHES[outline.group % len(GROUP_DASHES)],
        )
    )
    if outline.named:
        ground = {"facecolor": GROUND, "edgecolor": "none", "pad": 1.0}
        at = outline.left, outline.top - 2
        write(axes, *at, name, 9.5, color=TEXT, va="bottom", bbox=ground)


def _draw_box(axes: Any, data: BoxData, box: Box, height: float, state: NodeState) -> None:
    kind = data["kind"]
    corner = _CORNERS.get(kind, 4.0)
    fill = _FILLS.get(kind, mixed(BRAND, 0.16, GROUND)) if state == "alive" else GROUND
    axes.add_patch(
        FancyBboxPatch(
            (box.x - box.width / 2, box.y - height / 2),
            box.width,
            height,
            boxstyle=f"round,pad=0,rounding_size={corner}",
            # Also without edges of its own it hides those that pass: its name stays legible.
            facecolor=fill,
            edgecolor=LINE if state == "out" else MUTED,
            linewidth=line_width(1),
            linestyle="--" if state == "idle" else "-",
        )
    )
    text = next((t for t in _names(data) if LETTER * len(t) + 4 <= box.width), _names(data)[-1])
    in_circuit = state == "alive"
    colour = TEXT if in_circuit else MUTED
    write(axes, box.x, box.y, text, 10.5, bold=in_circuit, color=colour, ha="center", va="center")


def _names(box: BoxData) -> list[str]:
    """A box's name, from the longest form to the shortest."""
    name, head = box["name"], box["head"] or 0
    forms: dict[Kind, list[str]] = {
        "start": [f"{name} (embedding)", name, "Start"],
        "end": [f"{name} (logits)", name, "End"],
        "head": [name, name[1:], str(head)],
        "shared": [f"KV {head}", "KV"],
        "attention": [f"{name} (all heads)", name],
        "mid": [name, f"Mid {box['block']}"],
        "mlp": [name, f"M{box['block']}", "M"],
        "post": [name, f"Post {box['block']}"],
    }
    return forms[box["kind"]]


def _draw_port(axes: Any, kind: Kind, layout: Layout, spot: Spot, port: Port) -> None:
    box, height = layout.boxes[spot], port_height(layout)
    x, y = port_x(box, port, kind == "shared"), box.y + layout.box_height / 2 - 1
    width = 11.0 if layout.lettered else 5.0
    axes.add_patch(
        Rectangle(
            (x - width / 2, y),
            width,
            height,
            facecolor=GROUND if layout.lettered else MUTED,
            edgecolor=MUTED,
            linewidth=line_width(0.8),
        )
    )
    if layout.lettered:
        middle = y + height / 2 + 0.4
        write(axes, x, middle, port, 7.5, bold=True, color=TEXT, ha="center", va="center")


def _draw_labels(axes: Any, data: GraphData, layout: Layout) -> None:
    wordy = layout.columns[0][0] >= WIDE.gutter
    for block, y in layout.rows:
        write(axes, 6, y, f"block {block}" if wordy else f"{block}", 10.5, color=MUTED, va="center")
    for position, label in enumerate(data["positions"] or []):
        x, width = layout.columns[position]
        most = max(1, int(width / 6))
        label = label if len(label) <= most else f"{label[: most - 1]}…"
        middle, y = x + width / 2, layout.height - 11
        write(axes, middle, y, label, 10.5, color=MUTED, ha="center", va="center")
        if position:
            axes.plot(
                [x - layout.gap / 2] * 2,
                [0, layout.height],
                color=LINE,
                linewidth=line_width(1),
                zorder=0,
            )


def _destination(data: GraphData, edge: Edge) -> DestinationData:
    return next(d for d in data["destinations"] if d["name"] == edge.dest.name)

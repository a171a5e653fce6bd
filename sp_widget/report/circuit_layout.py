"""Where the nodes of a circuit stand: layers from bottom to top, as the circuit view has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sp_widget.report.circuit_data import BoxData, GraphData, Kind

Spot = tuple[int, int]
"""A box at a token position: `(position, index of the box)`."""

BOX_HEIGHT = 24.0
GUTTER = 62.0
"""Left of the nodes, for the names of the blocks."""
MARGIN = 20.0
GAP = 22.0
"""Between the columns of two token positions."""
LABEL_HEIGHT = 24.0
"""Below the nodes, for the names of the token positions."""
MIN_CELL, MAX_CELL = 30.0, 92.0
"""Distance between two heads."""
MIN_PITCH, MAX_PITCH = 50.0, 84.0
"""Distance between two blocks."""
HEIGHT = 520.0
"""What the rows should fill together."""
MLP_CELLS = 1.3
"""Room that an MLP takes beside the heads, in distances between heads."""
RAISED = 0.48
"""How far an MLP stands above the heads that it reads, in distances between blocks."""
LINE_STEP = 0.72
"""Between the lines of shared keys, heads and joint attention of a block, likewise."""
LINES: tuple[Kind, ...] = ("shared", "head", "attention")


@dataclass(frozen=True)
class Box:
    """A node: the middle of its box, and how wide that is."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Layout:
    """All places, in units from the lower left corner."""

    width: float
    height: float
    boxes: dict[Spot, Box]
    cell: float
    """Distance between two heads."""
    columns: list[tuple[int, float, float]]
    """Of each token position its left edge and its width."""
    rows: list[tuple[int, float]]
    """The height of each block that is shown."""


def lay_out(data: GraphData, shown: Collection[Spot], page: float) -> Layout:
    """Places for the `shown` spots on a page of this width, or on a wider one if need be.

    Blocks without any close up.
    """
    places = sorted(shown)
    positions = range(len(data["positions"] or [""]))
    heads = [(p, data["boxes"][i]) for p, i in places if data["boxes"][i]["kind"] == "head"]
    most_heads = max(
        (_count(heads, p, b) for p, b in {(p, h["block"]) for p, h in heads}), default=1
    )
    has_mlp = any(data["boxes"][i]["kind"] == "mlp" for _, i in places)
    cells = most_heads + (MLP_CELLS if has_mlp else 0)
    gaps = GAP * (len(positions) - 1)
    room = (page - GUTTER - MARGIN - gaps) / len(positions)
    cell = min(MAX_CELL, max(MIN_CELL, room / cells))
    column = max(50.0, cells * cell)
    width = max(page, GUTTER + MARGIN + gaps + column * len(positions))
    # What is narrower than the page stands in its middle.
    left = GUTTER + (width - GUTTER - MARGIN - gaps - column * len(positions)) / 2
    columns = [(p, left + p * (column + GAP), column) for p in positions]

    stack = _stack([data["boxes"][i] for _, i in places])
    pitch = min(MAX_PITCH, max(MIN_PITCH, HEIGHT / (stack.top + 0.5)))
    below = BOX_HEIGHT / 2 + 6 + (LABEL_HEIGHT if data["positions"] else 0)
    height = below + stack.top * pitch + BOX_HEIGHT / 2 + 4

    heads_width = column - (MLP_CELLS * cell if has_mlp else 0)
    boxes: dict[Spot, Box] = {}
    for position, start, _ in columns:
        here = [data["boxes"][i] for p, i in places if p == position]
        index = {data["boxes"][i]["name"]: i for p, i in places if p == position}
        for box in here:
            kind = box["kind"]
            if kind in ("start", "end"):
                wide = min(column - 6, max(150.0, 0.6 * column))
                x, line = start + column / 2, stack.top if kind == "end" else 0.0
            elif kind == "mlp":
                wide = min(1.12 * cell, 60.0)
                x, line = start + column - 0.6 * cell, stack.mlps[box["block"]]
            else:
                mates = [b for b in here if b["kind"] == kind and b["block"] == box["block"]]
                share = cell if kind == "head" else heads_width / len(mates)
                offset = (heads_width - share * len(mates)) / 2
                x = start + offset + (mates.index(box) + 0.5) * share
                wide = min(cell - 8, 56.0) if kind == "head" else min(0.8 * share, 260.0)
                line = stack.lines[box["block"], kind]
            boxes[position, index[box["name"]]] = Box(x, below + line * pitch, wide)
    rows = [(block, below + line * pitch) for block, line in stack.labels.items()]
    return Layout(width, height, boxes, cell, columns, rows)


def _count(heads: list[tuple[int, BoxData]], position: int, block: int) -> int:
    return sum(p == position and head["block"] == block for p, head in heads)


@dataclass(frozen=True)
class _Stack:
    """The lines that boxes stand on, upwards from the input's at 0, in distances of blocks."""

    top: float
    lines: dict[tuple[int, Kind], float]
    mlps: dict[int, float]
    labels: dict[int, float]


def _stack(boxes: Sequence[BoxData]) -> _Stack:
    level = 0.0
    lines: dict[tuple[int, Kind], float] = {}
    mlps: dict[int, float] = {}
    labels: dict[int, float] = {}
    inner = [box for box in boxes if box["kind"] not in ("start", "end")]
    for block in sorted({box["block"] for box in inner}):
        members = [box for box in inner if box["block"] == block]
        kinds = [kind for kind in LINES if any(box["kind"] == kind for box in members)]
        level += 1
        for step, kind in enumerate(kinds):
            level += LINE_STEP if step else 0
            lines[block, kind] = level
        labels[block] = lines.get((block, "head"), level)
        layers = {box["kind"]: box["layer"] for box in members}
        if "mlp" in layers:
            # Where both read the same, they stand side by side.
            beside = not kinds or layers["mlp"] == layers.get("head", layers["mlp"])
            mlps[block] = level + (0 if beside else RAISED)
    return _Stack(level + 1 + RAISED / 2, lines, mlps, labels)

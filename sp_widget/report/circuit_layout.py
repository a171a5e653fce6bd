"""Where the nodes of a circuit stand: the rule of the saved picture and of the live view.

`js/src/circuit/layout.ts` is the same rule in the browser, which has to place nodes while a slider
moves; `tests/fixtures/circuit_view/cases.json` holds both to the same coordinates. Layers stand
from bottom to top: the heads of a block in a row and its MLP beside them, above them if it reads
what they write. Heads stand in columns by their numbers, and columns without any close up. Token
positions stand side by side, and all together fill the width.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sp_widget.report.circuit_data import GraphData, Kind

Spot = tuple[int, int]
"""A box at a token position: `(position, index of the box)`."""


@dataclass(frozen=True)
class Measures:
    """Lengths in units, about a pixel on a screen each."""

    gutter: float
    """Left of the nodes, for the names of the blocks."""
    margin: float
    """Right of the nodes."""
    gap: float
    """Between the columns of two token positions."""
    min_column: float
    """Width of a token position."""
    min_cell: float
    """Distance between two heads."""
    max_cell: float
    min_pitch: float
    """Distance between two blocks."""
    max_pitch: float
    height: float
    """What the blocks should fill together."""
    box_height: float


WIDE = Measures(
    gutter=58,
    margin=26,
    gap=22,
    min_column=50,
    min_cell=27,
    max_cell=92,
    min_pitch=48,
    max_pitch=88,
    height=580,
    box_height=24,
)
NARROW = replace(
    WIDE,
    gutter=22,
    margin=12,
    gap=8,
    min_column=44,
    min_cell=22,
    min_pitch=46,
    max_pitch=76,
    height=520,
)
NARROW_WIDTH = 560.0
"""Below it the measures are the narrow ones."""

LABEL_HEIGHT = 22.0
"""Below the nodes, for the labels of the token positions."""
LETTERED_WIDTH = 34.0
"""Below this width of a head its ports go without their letters."""
MLP_CELLS = 1.3
"""Room that an MLP takes beside the heads, in distances between heads."""
RAISED = 0.48
"""How far an MLP stands above the heads that it reads, in distances between blocks."""
LINE_STEP = 0.72
"""Between the lines of shared keys, heads and joint attention of a block, likewise."""
LINES: tuple[Kind, ...] = ("shared", "head", "attention", "mid")
"""Kinds that have a line of their own in a block, from below. What a residual stream reads stands
below it, so that behind one the MLP has a line of its own too, and the stream behind that."""


@dataclass(frozen=True)
class Box:
    """A node: the middle of its box, and how wide that is."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Layout:
    """All places, in units from the upper left corner."""

    width: float
    height: float
    boxes: dict[Spot, Box]
    box_height: float
    lettered: bool
    """Whether the ports of a head have room for their letters."""
    cell: float
    """Distance between two heads at least, the unit by which long edges swerve."""
    gap: float
    """Between two columns."""
    columns: list[tuple[float, float]]
    """Of each token position its left edge and its width."""
    rows: list[tuple[int, float]]
    """Each block that is shown, and the height of its name."""


def lay_out(data: GraphData, shown: Collection[Spot], available: float) -> Layout:
    """Return places for the `shown` spots in this width, or in a wider one if need be.

    Blocks without any close up, and so do columns of heads: what is left fills the width in the
    order that it has among all, as near to its columns as there is room.
    """
    size = NARROW if available < NARROW_WIDTH else WIDE
    n_positions = len(data["positions"] or [""])
    blocks = _blocks(data)
    visible = {box for _, box in shown}
    has_mlp = any(data["boxes"][box]["kind"] == "mlp" for box in visible)
    mlp_cells = MLP_CELLS if has_mlp else 0.0
    most_heads = max(
        1,
        *(
            sum((position, box) in shown for box in block.get("head", ()))
            for position in range(n_positions)
            for block in blocks
        ),
    )

    gaps = size.gap * (n_positions - 1)
    room = (available - size.gutter - size.margin - gaps) / n_positions
    cell = _clamp(room / (most_heads + mlp_cells), size.min_cell, size.max_cell)
    column = max(size.min_column, (most_heads + mlp_cells) * cell, room)
    heads_width = column - mlp_cells * cell
    width = max(available, size.gutter + column * n_positions + gaps + size.margin)
    columns = [(size.gutter + p * (column + size.gap), column) for p in range(n_positions)]

    orders = {kind: _columns(blocks, kind, visible) for kind in KINDS_IN_COLUMNS}
    stack = _stack(data, blocks, visible)
    pitch = _clamp(size.height / (stack.top + 0.5), size.min_pitch, size.max_pitch)
    above = size.box_height / 2 + 4
    labels = LABEL_HEIGHT if data["positions"] is not None else 0.0
    height = above + stack.top * pitch + size.box_height / 2 + 6 + labels

    head_width = min(cell - 4, max(20.0, min(cell * 0.84, 56.0)))
    mlp_width = min(cell * 1.12, 60.0)
    end_width = min(column - 6, max(150.0, column * 0.6))
    boxes: dict[Spot, Box] = {}

    def put(spots: Sequence[Spot], middles: Sequence[float], line: float, wide: float) -> None:
        y = above + (stack.top - line) * pitch
        boxes.update((spot, Box(x, y, wide)) for spot, x in zip(spots, middles, strict=False))

    for position, (left, _) in enumerate(columns):
        for number, block in enumerate(blocks):
            spots = {
                kind: [(position, box) for box in members if (position, box) in shown]
                for kind, members in block.items()
            }
            put(spots.get("start", []), [left + column / 2], 0.0, end_width)
            put(spots.get("end", []), [left + column / 2], stack.top, end_width)
            if number in stack.mlps:
                beside = left + column - cell * 0.6
                put(spots.get("mlp", []), [beside], stack.mlps[number], mlp_width)
            for kind, line in stack.lines[number].items():
                if kind not in orders:
                    put(spots[kind], [left + heads_width / 2], line, end_width)
                    continue
                share = heads_width / len(orders[kind])
                wanted = [
                    (orders[kind].index(block[kind].index(box)) + 0.5) * share
                    for _, box in spots[kind]
                ]
                is_head = kind == "head"
                places = spaced(wanted, cell if is_head else share, heads_width)
                wide = head_width if is_head else max(head_width, min(0.8 * share, 260.0))
                put(spots[kind], [left + place for place in places], line, wide)
    return Layout(
        width=width,
        height=height,
        boxes=boxes,
        box_height=size.box_height,
        lettered=head_width >= LETTERED_WIDTH,
        cell=cell,
        gap=size.gap,
        columns=columns,
        rows=[(block, above + (stack.top - line) * pitch) for block, line in stack.labels.items()],
    )


KINDS_IN_COLUMNS: tuple[Kind, ...] = ("shared", "head", "attention")
"""Kinds of which a block may have several, side by side."""


def _columns(blocks: Sequence[Block], kind: Kind, visible: Collection[int]) -> list[int]:
    """Return the numbers, within their blocks, of the boxes of a kind that are shown anywhere."""
    return sorted(
        {
            number
            for block in blocks
            for number, box in enumerate(block.get(kind, ()))
            if box in visible
        }
    )


def spaced(wanted: Sequence[float], distance: float, room: float) -> list[float]:
    """Return places as near to the wanted ones as a least distance allows, from left to right."""
    least = min(distance, room / max(1, len(wanted)))
    places = list(wanted)
    for i in range(len(places)):
        places[i] = max(places[i], places[i - 1] + least if i else least / 2)
    for i in reversed(range(len(places))):
        is_last = i == len(places) - 1
        places[i] = min(places[i], room - least / 2 if is_last else places[i + 1] - least)
    return places


Block = dict[Kind, list[int]]
"""The boxes of a block by kind, from left to right."""


def _blocks(data: GraphData) -> list[Block]:
    blocks: list[Block] = [{} for _ in range(1 + max(box["block"] for box in data["boxes"]))]
    for index, box in enumerate(data["boxes"]):
        blocks[box["block"]].setdefault(box["kind"], []).append(index)
    return blocks


@dataclass(frozen=True)
class _Stack:
    """The lines that boxes stand on, upwards from the input's at 0, in distances of blocks."""

    top: float
    """The output's."""
    lines: list[dict[Kind, float]]
    """Of each block the kinds that are shown."""
    mlps: dict[int, float]
    labels: dict[int, float]
    """Of each block of which anything is shown, where its name stands."""


def _stack(data: GraphData, blocks: Sequence[Block], visible: Collection[int]) -> _Stack:
    level, raised = 0.0, False
    lines: list[dict[Kind, float]] = []
    mlps: dict[int, float] = {}
    labels: dict[int, float] = {}
    for number, block in enumerate(blocks):
        shown = {kind for kind, boxes in block.items() if any(box in visible for box in boxes)}
        kinds = [kind for kind in LINES if kind in shown]
        lines.append({})
        if not kinds and "mlp" not in shown and "post" not in shown:
            continue
        # Above the MLP of the block below, where that stands higher than its row.
        level += 1 if kinds or not raised else 1 + RAISED / 2
        raised = False
        for step, kind in enumerate(kinds):
            level += LINE_STEP if step else 0.0
            lines[number][kind] = level
        labels[number] = lines[number].get("head", level)
        if "mlp" in shown:
            streams = "mid" in block
            if streams and kinds:
                level += LINE_STEP
            layers = {kind: data["boxes"][members[0]]["layer"] for kind, members in block.items()}
            # Where both read the same, they stand side by side.
            beside = not kinds or streams or layers["mlp"] == layers.get("head")
            raised = not beside
            mlps[number] = level + (RAISED if raised else 0.0)
        if "post" in shown:
            level += LINE_STEP if kinds or "mlp" in shown else 0.0
            lines[number]["post"] = level
    return _Stack(level + 1 + RAISED / 2, lines, mlps, labels)


def _clamp(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))

"""The line of an edge through a picture, from the top of its source to its destination.

`js/src/circuit/routes.ts` is the same rule in the browser; both are held to the same points by
`tests/fixtures/circuit_view/cases.json`.
"""

from __future__ import annotations

import math

from sp_widget.report.circuit_data import Port
from sp_widget.report.circuit_layout import Box, Layout, Spot

Point = tuple[float, float]

PULL = 0.42
"""How far up the control points of a curve are, as a share of its height."""
SHARPEST = 2.6
"""The most that a line goes aside, as a multiple of what it rises meanwhile."""
PORTS: dict[Port, float] = {"": 0.0, "Q": -0.31, "K": 0.0, "V": 0.31}
"""How far a port is from the middle of its box, as a share of the box's width."""
SHARED_PORTS: dict[Port, float] = {"": 0.0, "Q": 0.0, "K": -0.2, "V": 0.2}
"""The same for the box of a key and value head that serves several heads."""
PORT_HEIGHT = 9.0
"""How far a port stands out below its box."""
BARE_PORT_HEIGHT = 5.0
"""The same for a port without its letter."""


def port_x(box: Box, port: Port, shared: bool) -> float:
    """Return where a port is on the lower side of its box; `shared`: a key and value head's."""
    return box.x + (SHARED_PORTS if shared else PORTS)[port] * box.width


def port_height(layout: Layout) -> float:
    """Return how far a port stands out below its box."""
    return PORT_HEIGHT if layout.lettered else BARE_PORT_HEIGHT


def route(
    layout: Layout, source: Spot, dest: Spot, port: Port, shared: bool, edge: int
) -> list[Point]:
    """Return a start, then for each cubic curve two control points and its end.

    An edge goes round the boxes that would hide it. `edge`: its place in the flat vector of all
    edges; neighbours lie beside each other where they go the same way.
    """
    start, end = layout.boxes[source], layout.boxes[dest]
    dx = end.x - start.x
    half_column = layout.columns[0][1] / 2
    # The ends of many edges share a side of a box in the order of where the edges go.
    x1 = start.x + _spread(dx / half_column, start.width)
    x2 = port_x(end, port, shared) if port else end.x + _spread(-dx / half_column, end.width)
    y1 = start.y - layout.box_height / 2
    y2 = end.y + layout.box_height / 2 + (port_height(layout) if port else 0)
    way = _way_round(layout, source[0], (x1, y1), (x2, y2))
    if way is None:
        return [(x1, y1), *_rising((x1, y1), (x2, y2))]
    x, low, high = way
    x += (edge % 5 - 2) * min(2.0, layout.cell / 32)
    straight = [(x, low), (x, high), (x, high)]
    return [(x1, y1), *_rising((x1, y1), (x, low)), *straight, *_rising((x, high), (x2, y2))]


def _rising(start: Point, end: Point) -> list[Point]:
    """Return a curve that leaves and arrives upright."""
    pull = PULL * max(0.0, start[1] - end[1])
    return [(start[0], start[1] - pull), (end[0], end[1] + pull), end]


def _spread(share: float, width: float) -> float:
    return min(1.0, max(-1.0, share)) * max(0.0, width / 2 - 6)


def _way_round(
    layout: Layout, position: int, start: Point, end: Point
) -> tuple[float, float, float] | None:
    """Return the upright piece that passes what stands in the way: x, lower and upper end.

    `None`: nothing is in the way, or the way round would be no better.
    """
    (x1, y1), (x2, y2) = start, end
    if abs(x2 - x1) >= max(0.8 * layout.cell, 0.25 * (y1 - y2)):
        return None
    half = layout.box_height / 2 + 2
    left, right = math.inf, -math.inf
    low, high = 0.0, math.inf
    for (at, _), box in layout.boxes.items():
        # A box as wide as several heads hides no more than a piece in the middle.
        if at != position or not y2 + 1 <= box.y <= y1 - 1 or box.width > 1.25 * layout.cell:
            continue
        t = _time_at((y1 - box.y) / (y1 - y2))
        aside = x1 + (x2 - x1) * t * t * (3 - 2 * t) - box.x
        if abs(aside) > box.width / 2 + 3:
            continue
        clear = box.width / 2 + min(16.0, max(2.0, (layout.cell - box.width) / 2))
        left, right = min(left, box.x - clear), max(right, box.x + clear)
        low = max(low, min(y1, box.y + half))
        high = min(high, max(y2, box.y - half))
    if right < left:
        return None
    middle = (x1 + x2) / 2
    x = left if middle - left < right - middle else right
    too_sharp = abs(x - x1) > SHARPEST * max(10.0, y1 - low)
    too_sharp |= abs(x - x2) > SHARPEST * max(10.0, high - y2)
    return None if too_sharp else (x, low, high)


def _time_at(risen: float) -> float:
    """Return when a curve has risen by a share of its height."""
    low, high = 0.0, 1.0
    for _ in range(8):
        t = (low + high) / 2
        s = 1 - t
        if 3 * s * t * (s * PULL + t * (1 - PULL)) + t**3 < risen:
            low = t
        else:
            high = t
    return (low + high) / 2

"""Where the nodes and edges of a saved picture are: as in the live view, and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from sp_widget.report.circuit_layout import lay_out, spaced
from tests.report.circuit_cases import CASES, graph_of, pinned, shown_spots

NEAR = {"abs": 2e-3, "rel": 0}
"""The cases are written to a thousandth of a pixel."""


@pytest.mark.parametrize("case", CASES["layouts"], ids=lambda case: case["name"])
def test_nodes_and_edges_are_where_the_live_view_has_them(case: dict[str, Any]) -> None:
    now = pinned(case)
    assert now["size"] == pytest.approx(case["size"], **NEAR)
    for part in ("columns", "rows"):
        for got, wanted in zip(now[part], case[part], strict=True):
            assert got == pytest.approx(wanted, **NEAR)
    for part in ("boxes", "routes"):
        assert now[part].keys() == case[part].keys()
        for name, wanted in case[part].items():
            assert now[part][name] == pytest.approx(wanted, **NEAR), name


def test_heads_and_their_mlp_share_the_width_that_is_there() -> None:
    """Of 1,000 pixels 58 are for the names of the blocks, and 26 for the margin."""
    _, data = graph_of({"blocks": 12, "heads": 12})
    spots = [(0, index) for index in range(len(data["boxes"]))]
    boxes = lay_out(data, spots, 1000).boxes
    cell = 916 / (12 + 1.3)
    index = {box["name"]: (0, i) for i, box in enumerate(data["boxes"])}
    assert boxes[index["A0.0"]].x == pytest.approx(58 + cell / 2)
    assert boxes[index["A0.11"]].x == pytest.approx(58 + 11.5 * cell)
    assert boxes[index["MLP 0"]].x == pytest.approx(1000 - 26 - 0.6 * cell)
    # Two columns of heads share the room, whatever their numbers are.
    few = [index[name] for name in ("Resid Start", "A0.1", "A1.1", "A3.6", "Resid End")]
    places = lay_out(data, few, 1000).boxes
    assert places[index["A0.1"]].x == pytest.approx(58 + 1 / 4 * 916)
    assert places[index["A1.1"]].x == places[index["A0.1"]].x
    assert places[index["A3.6"]].x == pytest.approx(58 + 3 / 4 * 916)


@pytest.mark.parametrize("case", CASES["layouts"], ids=lambda case: case["name"])
def test_no_box_lies_on_another_or_outside(case: dict[str, Any]) -> None:
    _, data = graph_of(case["model"])
    layout = lay_out(data, shown_spots(case, data), case["width"])
    half = layout.box_height / 2
    boxes = [
        (box.x - box.width / 2, box.y - half, box.x + box.width / 2, box.y + half)
        for box in layout.boxes.values()
    ]
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= layout.width
        assert 0 <= top < bottom <= layout.height
        for other in boxes[number + 1 :]:
            beside = right <= other[0] or other[2] <= left
            assert beside or bottom <= other[1] or other[3] <= top


@pytest.mark.parametrize(
    ("wanted", "distance", "room", "places"),
    [
        ([10, 20, 30], 5, 100, [10, 20, 30]),
        ([10, 12, 14], 10, 100, [10, 20, 30]),
        ([1, 2], 10, 100, [5, 15]),
        ([90, 95, 99], 10, 100, [75, 85, 95]),
        ([50, 50, 50], 40, 90, [15, 45, 75]),
    ],
)
def test_places_keep_a_distance_and_stay_in_the_room(
    wanted: list[float], distance: float, room: float, places: list[float]
) -> None:
    assert spaced(wanted, distance, room) == places

"""Nodes gathered under a name: their outlines, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import sp_widget as sp
from sp_widget.errors import ArgumentError
from sp_widget.report.circuit_layout import lay_out
from sp_widget.report.groups import PADDING, check_groups, groups_from_data, outlines
from tests.report.circuit_cases import CASES, graph_of, outlined, shown_spots


@pytest.mark.parametrize("case", CASES["outlines"], ids=lambda case: case["name"])
def test_outlines_are_where_the_live_view_has_them(case: dict[str, Any]) -> None:
    now = outlined(case)
    assert len(now) == len(case["outlines"])
    for got, wanted in zip(now, case["outlines"], strict=True):
        assert got == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("case", CASES["outlines"], ids=lambda case: case["name"])
def test_an_outline_holds_its_own_nodes_and_no_others(case: dict[str, Any]) -> None:
    _, data = graph_of(case["model"])
    layout = lay_out(data, shown_spots(case, data), case["width"])
    groups = groups_from_data(data, case["groups"])
    found = outlines(data, layout, groups)
    held = set()
    for each in found:
        for (position, index), box in layout.boxes.items():
            inside = each.left < box.x < each.left + each.width
            if inside and abs(each.top + each.height / 2 - box.y) < 1:
                assert data["boxes"][index]["name"] in groups[each.group].nodes
                assert each.left <= box.x - box.width / 2 - PADDING + 1e-6
                held.add((position, index))
    wanted = {node for group in groups for node in group.nodes}
    assert held == {spot for spot in layout.boxes if data["boxes"][spot[1]]["name"] in wanted}
    assert sorted(each.group for each in found if each.named) == list(range(len(groups)))


@pytest.mark.parametrize(
    "groups",
    [
        "A0.0",
        [{"name": "a", "nodes": ["A0.0"], "note": ""}],
        [sp.NodeGroup(" ", ["A0.0"])],
        [sp.NodeGroup("a", ["A7.0"])],
        [sp.NodeGroup("a", ["A0.0"]), sp.NodeGroup("a", ["A0.1"])],
        [sp.NodeGroup("a", ["A0.0"]), sp.NodeGroup("b", ["A0.0"])],
        [sp.NodeGroup("a", ["A0.0"], note="x" * 10_000)],
        [sp.NodeGroup(f"{i}", []) for i in range(60)],
    ],
)
def test_what_are_no_groups_is_refused(groups: Any) -> None:
    _, data = graph_of({"blocks": 1, "heads": 2})
    with pytest.raises(ArgumentError, match=r"^groups: "):
        check_groups(data, groups)


@pytest.mark.parametrize(
    "groups", ["a", [3], [{"name": "a"}], [{"name": 3, "nodes": [], "note": ""}]]
)
def test_plain_data_that_is_no_group_is_refused(groups: Any) -> None:
    _, data = graph_of({"blocks": 1, "heads": 2})
    with pytest.raises(ArgumentError, match=r"^groups: "):
        groups_from_data(data, groups)

"""Nodes that belong together, gathered under a name: "name movers"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sp_widget.errors import ArgumentError
from sp_widget.report.circuit_data import GraphData
from sp_widget.report.circuit_layout import Layout

LONGEST_NAME = 80
LONGEST_NOTE = 2000
MOST_GROUPS = 50

GROUP_COLOURS = ("#8e5bbf", "#2a9d8f", "#d1495b", "#b8860b", "#3a7ca5", "#937341")
"""Of the outlines, in turn: each with a contrast of at least 3 : 1 with white and with black."""
GROUP_DASHES = ("solid", "dashed", "dotted")
"""Of the outlines, in turn as well: nobody has to tell them apart by colour alone."""
PADDING = 4.0
"""Between a node and its group's outline, in units of the layout."""


class GroupData(TypedDict):
    """A group as the browser has it."""

    name: str
    nodes: list[str]
    """By their names: `A9.6` also where each token position has its own."""
    note: str


@dataclass(frozen=True)
class NodeGroup:
    """Nodes that belong together.

    `nodes`: their names, such as `A9.6` or `MLP 3`; where token positions have nodes of their own,
    those at all positions. `note`: what is known of them.

    Raises `ArgumentError` with the name of a bad argument.
    """

    name: str
    nodes: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for argument, text in (("name", self.name), ("note", self.note)):
            if not isinstance(text, str):
                raise ArgumentError(argument, "a text", text)
        good = isinstance(self.nodes, Sequence) and not isinstance(self.nodes, str)
        if not good or not all(isinstance(node, str) for node in self.nodes):
            raise ArgumentError("nodes", "a list of names of nodes", self.nodes)
        # A list is as good.
        object.__setattr__(self, "nodes", tuple(self.nodes))

    @property
    def data(self) -> GroupData:
        """The group as plain data."""
        return GroupData(name=self.name, nodes=list(self.nodes), note=self.note)

    def __repr__(self) -> str:
        note = f", {self.note!r}" if self.note else ""
        return f"NodeGroup({self.name!r}, {list(self.nodes)!r}{note})"


@dataclass(frozen=True)
class Outline:
    """A line around nodes of a group that stand side by side."""

    group: int
    left: float
    top: float
    width: float
    height: float
    named: bool
    """Whether the group's name stands above it: above the highest one, of these the left one."""


def check_groups(data: GraphData, groups: object, argument: str = "groups") -> list[NodeGroup]:
    """Return groups if they fit a model. Raises `ArgumentError` for anything else."""
    if not isinstance(groups, Sequence) or isinstance(groups, str) or len(groups) > MOST_GROUPS:
        raise ArgumentError(argument, f"a list of at most {MOST_GROUPS} NodeGroup", groups)
    known = {box["name"] for box in data["boxes"]}
    names: set[str] = set()
    gathered: set[str] = set()
    for group in groups:
        if not isinstance(group, NodeGroup):
            raise ArgumentError(argument, "a list of NodeGroup", group)
        if not 0 < len(group.name.strip()) <= LONGEST_NAME:
            raise ArgumentError(argument, f"names of 1 to {LONGEST_NAME} letters", group.name)
        if group.name in names:
            raise ArgumentError(argument, "groups of different names", group.name)
        if len(group.note) > LONGEST_NOTE:
            raise ArgumentError(argument, f"notes of at most {LONGEST_NOTE} letters", group.note)
        for node in group.nodes:
            if node not in known:
                raise ArgumentError(argument, "names of nodes of this model", node)
            if node in gathered:
                raise ArgumentError(argument, "each node in one group", node)
            gathered.add(node)
        names.add(group.name)
    return list(groups)


def groups_from_data(data: GraphData, groups: object) -> list[NodeGroup]:
    """Return groups from plain data. Raises `ArgumentError` for anything that is none."""
    wanted = "groups with name, nodes and note"
    if not isinstance(groups, list):
        raise ArgumentError("groups", wanted, groups)
    for each in groups:
        good = isinstance(each, dict) and each.keys() == {"name", "nodes", "note"}
        nodes = each["nodes"] if good else None
        texts = [*nodes, each["name"], each["note"]] if isinstance(nodes, list) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise ArgumentError("groups", wanted, each)
    return check_groups(data, [NodeGroup(**each) for each in groups])


def outlines(data: GraphData, layout: Layout, groups: Sequence[NodeGroup]) -> list[Outline]:
    """Return the lines around groups: `js/src/circuit/groups.ts` is the same rule.

    Nodes side by side in a row with none of another group between them share a line.
    """
    group_of = {node: number for number, group in enumerate(groups) for node in group.nodes}
    found: list[Outline] = []
    before: tuple[int, float, int | None] | None = None
    named: set[int] = set()
    spots = sorted(layout.boxes, key=lambda s: (s[0], layout.boxes[s].y, layout.boxes[s].x))
    for spot in spots:
        box, group = layout.boxes[spot], group_of.get(data["boxes"][spot[1]]["name"])
        here = (spot[0], box.y, group)
        if group is not None:
            right = box.x + box.width / 2 + PADDING
            if here == before:
                last = found.pop()
                left, is_named = last.left, last.named
            else:
                left, is_named = box.x - box.width / 2 - PADDING, group not in named
            named.add(group)
            top, height = box.y - layout.box_height / 2 - PADDING, layout.box_height + 2 * PADDING
            found.append(Outline(group, left, top, right - left, height, is_named))
        before = here
    return found

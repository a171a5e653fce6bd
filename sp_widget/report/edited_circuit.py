"""A circuit with some of its edges and nodes switched by hand.

A switch is a letter and a name: `-A9.6` takes all edges of a node out of the circuit, `+A9.6`
puts all of them in, `=A9.6` leaves them as the scores have them; likewise for an edge,
`-A9.6->Resid End`. At token positions a name begins with its position, `-3:A9.6`. Later switches
win. `js/src/circuit/switches.ts` is the same rule in the browser.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import BaseGraph, Edge
from sp_widget.report.circuit_data import GraphData

SIGNS = "-+="
"""Off, on, and as the scores have it."""


def edited_circuit(
    graph: BaseGraph, data: GraphData, circuit: Bool[Tensor, " edges"], switches: Sequence[str]
) -> Bool[Tensor, " edges"]:
    """Return a circuit after some switches.

    Raises `ArgumentError` for what is no switch, and for names of another model.
    """
    result = circuit.clone()
    for switch in switches:
        sign, name = check_switch(switch)
        touched = edges_of(graph, data, name)
        result[touched] = circuit[touched] if sign == "=" else sign == "+"
    return result


def check_switch(switch: object) -> tuple[str, str]:
    """Return sign and name of a switch. Raises `ArgumentError` for anything else."""
    if not isinstance(switch, str) or switch[:1] not in tuple(SIGNS):
        raise ArgumentError("switches", "names of nodes or edges behind -, + or =", switch)
    return switch[0], switch[1:]


def edges_of(graph: BaseGraph, data: GraphData, name: str) -> Bool[Tensor, " edges"]:
    """Return which edges a name stands for: those of a node, or the edge itself.

    Raises `ArgumentError` for a name of another model.
    """
    touched = torch.zeros(graph.n_edges, dtype=torch.bool)
    position, plain = _split_position(data, name)
    if position is None:
        raise _unknown(name)
    if "->" in plain:
        touched[graph.flat_index([_edge(graph, plain, position)])] = True
        return touched
    box = next((i for i, each in enumerate(data["boxes"]) if each["name"] == plain), None)
    if box is None:
        raise _unknown(name)
    sources = {src for src, of in enumerate(data["sources"]) if of == box}
    rows = {row for row, dest in enumerate(data["destinations"]) if dest["box"] == box}
    at = max(position, 0)
    for module, part in zip(graph.modules, graph.split(touched).values(), strict=True):
        here = part.view(graph.n_positions, len(module.rows), module.n_sources)[at]
        for number, row in enumerate(module.rows):
            if row in rows:
                here[number] = True
        for number, src in enumerate(module.srcs):
            if src in sources:
                here[:, number] = True
    return touched


def _split_position(data: GraphData, name: str) -> tuple[int | None, str]:
    """Return token position and name; -1: there are no positions, `None`: no such position."""
    if data["positions"] is None:
        return -1, name
    before, colon, plain = name.partition(":")
    known = colon and before.isdecimal() and int(before) < len(data["positions"])
    return (int(before) if known else None), plain


def _edge(graph: BaseGraph, name: str, position: int) -> Edge:
    source, _, dest = name.partition("->")
    src = next((each for each in graph.srcs if each.name == source), None)
    end = next((each for each in graph.dests if each.name == dest), None)
    edge = src and end and Edge(src, end, None if position < 0 else position)
    if not edge or edge.src.src_idx not in _reads(graph, edge):
        raise _unknown(name)
    return edge


def _reads(graph: BaseGraph, edge: Edge) -> range:
    module = next(each for each in graph.modules if each.name == edge.dest.module_name)
    return module.srcs


def _unknown(name: str) -> ArgumentError:
    return ArgumentError("switches", "names of nodes or edges of this model", name)

"""The circuits that both pictures are held to: `tests/fixtures/circuit_view/cases.json`.

`python -m tests.report.circuit_cases` writes the places of its `layouts` anew, as the saved picture
has them; whether the live view has the same is for `js/test/circuit/layout.test.ts` to say.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

from sp_widget.graph.base_graph import BaseGraph
from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.graph.node_graph import NodeGraph
from sp_widget.report.circuit_data import GraphData, structure
from sp_widget.report.circuit_layout import Layout, Spot, lay_out
from sp_widget.report.edge_routes import route
from sp_widget.report.groups import NodeGroup, outlines

PATH = Path(__file__).parents[1] / "fixtures/circuit_view/cases.json"
CASES: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))


def path_graph(case: dict[str, Any], n_positions: int | None) -> BaseGraph:
    """Return the graph of a path case."""
    shapes = [BlockShape(**block) for block in case["blocks"]]
    if case.get("nodes"):
        return NodeGraph(shapes, n_positions)
    return Graph(shapes, True, n_positions)


def graph_of(model: dict[str, Any]) -> tuple[BaseGraph, GraphData]:
    """Return the graph of a case's `model`: a plain one by its shape, or that of a path case."""
    positions = model.get("positions")
    graph: BaseGraph
    if "case" in model:
        graph = path_graph(next(c for c in CASES["paths"] if c["name"] == model["case"]), None)
    else:
        heads, mlp = model["heads"], model.get("mlp", True)
        shape = BlockShape(heads, heads, has_mlp=mlp, parallel=model.get("parallel", False))
        n_positions = None if positions is None else len(positions)
        graph = Graph([shape] * model["blocks"], True, n_positions)
    data = structure(
        graph,
        positions=positions,
        outputs=range(graph.n_positions),
        causal=True,
        official=None,
    )
    return graph, data


def shown_spots(case: dict[str, Any], data: GraphData) -> list[Spot]:
    """Return the spots that a case shows: those named, with input and output, or all."""
    n_positions = len(data["positions"] or [""])
    named = case["shown"]
    return [
        (position, index)
        for position in range(n_positions)
        for index, box in enumerate(data["boxes"])
        if named is None or box["name"] in named or box["kind"] in ("start", "end")
    ]


def places(layout: Layout, data: GraphData) -> dict[str, list[float]]:
    """Return x, y and width of every box by its name, that of its position before it."""
    names = [box["name"] for box in data["boxes"]]
    return {
        f"{position}:{names[box]}" if data["positions"] else names[box]: [at.x, at.y, at.width]
        for (position, box), at in layout.boxes.items()
    }


def routes(layout: Layout, graph: BaseGraph, data: GraphData, every: int) -> dict[str, list[float]]:
    """Return the points of every so many edges between shown boxes, by the edge's name."""
    destinations = {each["name"]: each for each in data["destinations"]}
    edges = list(graph.edges)
    found: dict[str, list[float]] = {}
    for edge, place in zip(edges, graph.flat_index(edges).tolist(), strict=True):
        position, dest = edge.seq_idx or 0, destinations[edge.dest.name]
        ends = (position, data["sources"][edge.src.src_idx]), (position, dest["box"])
        if place % every or not layout.boxes.keys() >= set(ends):
            continue
        shared = data["boxes"][dest["box"]]["kind"] == "shared"
        points = route(layout, *ends, dest["port"], shared, place)
        found[str(edge)] = [number for point in points for number in point]
    return found


def pinned(case: dict[str, Any]) -> dict[str, Any]:
    """Return the places of a case as they are now."""
    graph, data = graph_of(case["model"])
    layout = lay_out(data, shown_spots(case, data), case["width"])
    return {
        "size": [layout.width, layout.height],
        "columns": [list(column) for column in layout.columns],
        "rows": [list(row) for row in layout.rows],
        "boxes": places(layout, data),
        "routes": routes(layout, graph, data, case["every"]),
    }


def outlined(case: dict[str, Any]) -> list[list[Any]]:
    """Return the outlines of a case's groups as they are now."""
    _, data = graph_of(case["model"])
    layout = lay_out(data, shown_spots(case, data), case["width"])
    groups = [NodeGroup(**group) for group in case["groups"]]
    return [list(astuple(outline)) for outline in outlines(data, layout, groups)]


def graph_data_of(case: dict[str, Any]) -> GraphData:
    """Return what the browser is told of the graph of a path case."""
    positions, shape = case["graph"]["positions"], case["graph"]
    return structure(
        path_graph(case, None if positions is None else len(positions)),
        positions=positions,
        outputs=range(*shape["outputs"]),
        causal=shape["causal"],
        official=None,
    )


def main() -> None:
    """Write the graphs and the places anew, these rounded to a thousandth of a pixel."""
    for case in CASES["paths"]:
        case["graph"] = graph_data_of(case)
    for case in CASES["layouts"]:
        case |= json.loads(json.dumps(pinned(case)), parse_float=lambda text: round(float(text), 3))
    for case in CASES["outlines"]:
        case["outlines"] = json.loads(
            json.dumps(outlined(case)), parse_float=lambda text: round(float(text), 3)
        )
    parts = ",\n".join(
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(case)}" for case in CASES[name]) + "\n ]"
        for name in ("paths", "switches", "outlines", "layouts")
    )
    ranking = json.dumps(CASES["ranking"])
    PATH.write_text(f'{{\n "ranking": {ranking},\n{parts}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()

"""Circuits with edges and nodes switched by hand: as in the browser, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.report.edited_circuit import check_switch, edges_of, edited_circuit
from sp_widget.report.groups import NodeGroup
from sp_widget.report.picture import snapshot
from tests.model_kinds import bridge
from tests.report.circuit_cases import CASES, graph_of


@pytest.mark.parametrize("case", CASES["switches"], ids=lambda case: case["name"])
def test_switches_do_what_they_do_in_the_browser(case: dict[str, Any]) -> None:
    graph, data = graph_of(case["model"])
    by_name = {str(edge): edge for edge in graph.edges}
    circuit = torch.zeros(graph.n_edges, dtype=torch.bool)
    circuit[graph.flat_index(by_name[name] for name in case["circuit"])] = True
    before = circuit.clone()
    result = edited_circuit(graph, data, circuit, case["switches"])
    found = {str(edge) for edge in graph.edges_at(result.nonzero().flatten().tolist())}
    assert found == set(case["result"])
    assert circuit.equal(before)


def test_shared_keys_and_values_are_a_node_of_their_own() -> None:
    graph, data = graph_of({"case": "two heads share keys and values"})
    shared = next(box["name"] for box in data["boxes"] if box["kind"] == "shared")
    touched = graph.edges_at(edges_of(graph, data, shared).nonzero().flatten().tolist())
    head = shared.removesuffix(".KV")
    assert {edge.dest.name for edge in touched} == {f"{head}.K", f"{head}.V"}


@pytest.mark.parametrize("switch", ["A0.0", "*A0.0", "", 3, None])
def test_what_is_no_switch_is_refused(switch: Any) -> None:
    with pytest.raises(ArgumentError, match="switches"):
        check_switch(switch)


@pytest.mark.parametrize(
    ("positions", "name"),
    [
        (None, "A7.0"),
        (None, "A1.0->A0.0.Q"),
        (None, "A0.0->A7.0.Q"),
        (None, "0:A0.0"),
        (["a", "b"], "A0.0"),
        (["a", "b"], "2:A0.0"),
        (["a", "b"], "1:Resid End->A0.0.Q"),
    ],
)
def test_names_of_another_model_are_refused(positions: Any, name: str) -> None:
    graph, data = graph_of({"blocks": 2, "heads": 2, "positions": positions})
    with pytest.raises(ArgumentError, match="switches: wanted names"):
        edges_of(graph, data, name)


def test_a_picture_has_the_edited_circuit_and_what_is_noted_of_its_groups() -> None:
    model = patchable_model(bridge("native-attention-only"))
    scores = model.graph.split(torch.arange(1, model.n_edges + 1).float())
    ranked = model.graph.edges_at(range(model.n_edges - 1, -1, -1))
    off, on = ranked[3], ranked[25]
    group = NodeGroup("movers", ["A1.0"], "copy " + "the name " * 100)
    picture = snapshot(
        model,
        scores,
        n_edges=20,
        switches=[f"-{off}", f"+{on}", f"-{ranked[30]}"],
        groups=[group],
        official_edges=[off, on],
    )
    result = dict(picture.tables["Result"])
    assert (result["Edges in the picture"], result["Edges switched by hand"]) == ("20", "2")
    # The one that was known was switched off, and the other on.
    assert result["Known edges found"] == "1 of 2"
    strongest = [name for name, _ in picture.tables["Strongest edges"]]
    assert strongest[:4] == [repr(edge) for edge in (*ranked[:3], ranked[4])]
    figure = picture.figure()
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "A circuit of 20 edges, 2 switched by hand" in words
    # The whole note is in the table of a page; in a drawing as much as has room in four lines.
    assert picture.tables["Groups"] == [("movers", "A1.0"), ("Note on movers", group.note)]
    lines = list(filter(None, words[words.index("Note on movers") + 1 :]))
    assert len(lines) == 4
    assert lines[0].startswith("copy the name")
    assert lines[-1].endswith("…")
    assert all("name" in line and len(line) < 60 for line in lines)
    plain = snapshot(model, scores, n_edges=20)
    assert "Edges switched by hand" not in dict(plain.tables["Result"])
    with pytest.raises(ArgumentError, match="switches: wanted names"):
        snapshot(model, scores, switches=["-A9.9"])

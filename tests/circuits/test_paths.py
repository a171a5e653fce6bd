"""Which edges of a circuit carry anything, on circuits whose dead ends are known.

The same cases are checked in the browser's code (js/test/circuit/paths.test.ts).
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.paths import edges_on_paths, on_paths, output_positions
from sp_widget.circuits.scores import top_edges
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import BaseGraph
from sp_widget.graph.edge_graph import BlockShape
from sp_widget.graph.node_graph import NodeGraph
from tests.model_kinds import bridge
from tests.report.circuit_cases import path_graph

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "fixtures/circuit_view/cases.json").read_text()
)["paths"]


def graph_of(case: dict[str, Any]) -> BaseGraph:
    positions = case["graph"]["positions"]
    return path_graph(case, None if positions is None else len(positions))


def masks(graph: BaseGraph, names: list[str]) -> Tensor:
    """The flat mask of the edges of these names (`2:A0.0->Resid End` at position 2)."""
    by_name = {str(edge): edge for edge in graph.edges}
    flat = torch.zeros(graph.n_edges, dtype=torch.bool)
    flat[graph.flat_index([by_name[name] for name in names])] = True
    return flat


def names(graph: BaseGraph, flat: Tensor) -> set[str]:
    by_place = {int(graph.flat_index([edge])): str(edge) for edge in graph.edges}
    return {by_place[place] for place in flat.nonzero().flatten().tolist()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_dead_ends_are_found(case: dict[str, Any]) -> None:
    graph = graph_of(case)
    carrying = on_paths(
        graph,
        masks(graph, case["circuit"]),
        causal=case["graph"]["causal"],
        outputs=range(*case["graph"]["outputs"]),
    )
    assert names(graph, carrying) == set(case["circuit"]) - set(case["idle"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_whole_model_has_no_dead_ends_up_to_its_outputs(case: dict[str, Any]) -> None:
    graph = graph_of(case)
    everything = torch.ones(graph.n_edges, dtype=torch.bool)
    carrying = on_paths(graph, everything, causal=True, outputs=range(graph.n_positions))
    assert carrying.all()


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case["name"])
def test_many_circuits_at_once_are_each_what_it_is_alone(case: dict[str, Any]) -> None:
    graph = graph_of(case)
    draw = torch.Generator().manual_seed(0)
    circuits = torch.rand(2, 3, graph.n_edges, generator=draw) < 0.5
    outputs = range(*case["graph"]["outputs"])
    for causal in (True, False):
        together = on_paths(graph, circuits, causal=causal, outputs=outputs)
        assert together.any()
        for i, j in itertools.product(range(2), range(3)):
            alone = on_paths(graph, circuits[i, j], causal=causal, outputs=outputs)
            assert torch.equal(together[i, j], alone)


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    """Logits at the last of three positions count."""
    return patchable_model(bridge("native-attention-only"), seq_len=3)


def test_what_is_left_of_a_circuit_stays_when_it_is_cut_again(model: PatchableModel) -> None:
    draw = torch.Generator().manual_seed(0)
    scores = model.graph.split(torch.randn(model.n_edges, generator=draw))
    circuit = top_edges(scores, model.n_edges // 3)
    once = edges_on_paths(model, circuit)
    again = edges_on_paths(model, once)
    assert 0 < sum(int(mask.sum()) for mask in once.values()) < model.n_edges // 3
    for name, mask in circuit.items():
        assert once[name].shape == mask.shape
        assert not (once[name] & ~mask).any()
        assert torch.equal(once[name], again[name])


def test_only_the_output_positions_of_the_model_count(model: PatchableModel) -> None:
    assert output_positions(model) == range(2, 3)
    everything = top_edges(model.graph.split(torch.ones(model.n_edges)), model.n_edges)
    end = edges_on_paths(model, everything)["blocks.1.hook_resid_post"]
    assert end.any(1).tolist() == [False, False, True]
    every_position = patchable_model(bridge("native-attention-only"), slice_output=None, seq_len=3)
    assert output_positions(every_position) == range(3)
    all_at_once = patchable_model(bridge("native-attention-only"))
    assert output_positions(all_at_once) == range(1)


def test_attention_both_ways_carries_to_earlier_positions() -> None:
    model = patchable_model(bridge("native-bidirectional"), slice_output=None, seq_len=2)
    circuit = model.graph.split(masks(model.graph, ["1:Resid Start->A0.0.V", "0:A0.0->Resid End"]))
    carrying = model.graph.flatten(edges_on_paths(model, circuit))
    assert int(carrying.sum()) == 2


@pytest.mark.parametrize(
    ("circuit", "idle"),
    [
        (["Resid Start->Resid Mid 0", "Resid Mid 0->Resid Post 0"], 2),
        (["A1.0->Resid Mid 1", "Resid Mid 1->Resid End"], 2),
        (
            [
                *("A0.1->Resid Mid 0", "MLP 0->Resid Post 0", "A1.0->Resid Mid 1"),
                *("Resid Mid 1->Resid End", "Resid Post 0->Resid Mid 1", "MLP 1->Resid End"),
            ],
            0,
        ),
        (["A0.1->Resid Mid 0", "MLP 1->Resid End"], 2),
    ],
    ids=["read by nobody", "fed by nobody", "all carry", "a gap between"],
)
def test_dead_ends_among_streams_are_found(circuit: list[str], idle: int) -> None:
    """Heads and MLP of the first block read the input without an edge; later ones a stream."""
    graph = NodeGraph([BlockShape(2, 2)] * 2)
    carrying = on_paths(graph, masks(graph, circuit), causal=True, outputs=range(1))
    assert int(carrying.sum()) == len(circuit) - idle


@pytest.mark.parametrize(
    ("head", "carries"), [("1:A1.0", True), ("0:A1.0", False), ("1:Resid Post 0", False)]
)
def test_only_heads_carry_a_stream_to_later_positions(head: str, carries: bool) -> None:
    graph = NodeGraph([BlockShape(2, 2)] * 2, seq_len=2)
    circuit = [
        *("0:A0.0->Resid Mid 0", "0:Resid Mid 0->Resid Post 0"),
        *(f"{head}->Resid Mid 1", "1:Resid Mid 1->Resid End"),
    ]
    carrying = on_paths(graph, masks(graph, circuit), causal=True, outputs=range(1, 2))
    assert int(carrying.sum()) == (4 if carries else 0)


def test_masks_of_another_model_are_refused(model: PatchableModel) -> None:
    with pytest.raises(ArgumentError, match=r"^circuit: wanted masks of the shapes"):
        edges_on_paths(model, {"blocks.0.hook_mlp_in": torch.ones(2, dtype=torch.bool)})

"""Scores from parameters, and circuits cut from scores."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from sp_widget.circuits.scores import (
    PruneScores,
    flat_importance,
    scores_from_parameters,
    top_edges,
)
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, Graph

SCORES = {
    "blocks.0.hook_q_input": torch.tensor([[0.5], [-3.0]]),
    "blocks.0.hook_mlp_in": torch.tensor([2.0, 0.0, -1.0]),
}


def _chosen(scores: dict[str, torch.Tensor], n: int) -> list[bool]:
    return [bool(x) for mask in top_edges(scores, n).values() for x in mask.flatten()]


def scores_of(graph: Graph) -> PruneScores:
    """Scores 0, -1, 2, -3, ... in the order of the flat vector of all edges."""
    flat = torch.arange(graph.n_edges, dtype=torch.float32)
    flat[1::2] *= -1
    return PruneScores(graph.split(flat), graph)


GRAPH = Graph([BlockShape(n_heads=2, n_kv_heads=1)])
POSITIONS = Graph([BlockShape(n_heads=2, n_kv_heads=1)], seq_len=3)


def test_prune_scores_are_a_dictionary_that_knows_its_edges() -> None:
    scores = scores_of(GRAPH)
    assert isinstance(scores, dict)
    assert list(scores) == [module.name for module in GRAPH.modules]
    # The last edges of the flat vector are those into `Resid End`, source after source.
    top = [(edge.name, score) for edge, score in scores.top(3)]
    last = GRAPH.n_edges - 1
    assert top == [
        ("MLP 0->Resid End", -last if last % 2 else last),
        ("A0.1->Resid End", last - 1 if last % 2 else -(last - 1)),
        ("A0.0->Resid End", -(last - 2) if last % 2 else last - 2),
    ]


def test_scores_from_a_file_may_have_their_modules_in_any_order() -> None:
    scores = scores_of(GRAPH)
    shuffled = PruneScores(dict(sorted(scores.items(), reverse=True)), GRAPH)
    assert list(shuffled) != sorted(scores, reverse=True)
    assert shuffled.top(GRAPH.n_edges) == scores.top(GRAPH.n_edges)


@pytest.mark.parametrize("graph", [GRAPH, POSITIONS])
def test_every_edge_is_in_the_table_once_with_its_own_score(graph: Graph) -> None:
    scores = scores_of(graph)
    table = scores.to_dataframe()
    assert len(table) == graph.n_edges
    assert (table["score"].abs().diff().dropna() <= 0).all()
    by_name = {(row.edge, row.position): row.score for row in table.itertuples(index=False)}
    for edge in graph.edges:
        assert by_name[edge.name, edge.seq_idx] == edge.prune_score(scores).item()


def test_a_circuit_as_a_networkx_graph_has_exactly_its_edges() -> None:
    scores = scores_of(POSITIONS)
    circuit = scores.to_networkx(10)
    expected = {(e.src.name, e.dest.name, e.seq_idx): score for e, score in scores.top(10)}
    assert {
        (a, b, key): data["score"] for a, b, key, data in circuit.edges(keys=True, data=True)
    } == (expected)


def test_prune_scores_survive_pickling_and_copying() -> None:
    scores = scores_of(GRAPH)
    for copied in (pickle.loads(pickle.dumps(scores)), copy.deepcopy(scores)):
        assert isinstance(copied, PruneScores)
        assert all(torch.equal(copied[name], scores[name]) for name in scores)
        assert [str(e) for e, _ in copied.top(2)] == [str(e) for e, _ in scores.top(2)]


def test_scores_of_another_model_are_refused() -> None:
    with pytest.raises(ArgumentError, match="scores: wanted scores of this model"):
        PruneScores(dict(scores_of(GRAPH)), POSITIONS)


def test_a_notebook_shows_the_highest_scores_as_a_table() -> None:
    html = scores_of(GRAPH)._repr_html_()
    assert "<td>MLP 0</td><td>Resid End</td>" in html
    assert "11 edges; highest: MLP 0->Resid End" in repr(scores_of(GRAPH))


def test_importance_is_the_absolute_score_module_after_module() -> None:
    assert flat_importance(SCORES).tolist() == [0.5, 3.0, 2.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("n", "chosen"),
    [
        (0, [False, False, False, False, False]),
        (1, [False, True, False, False, False]),
        (2, [False, True, True, False, False]),
        (3, [False, True, True, False, True]),
        (4, [True, True, True, False, True]),
        (5, [True, True, True, True, True]),
    ],
)
def test_circuits_grow_by_absolute_score(n: int, chosen: list[bool]) -> None:
    assert _chosen(SCORES, n) == chosen


def test_circuits_have_the_shape_of_the_scores() -> None:
    circuit = top_edges(SCORES, 2)
    assert {name: mask.shape for name, mask in circuit.items()} == {
        name: score.shape for name, score in SCORES.items()
    }
    assert all(mask.dtype == torch.bool for mask in circuit.values())


def test_ties_admit_no_extra_edges_and_the_earlier_edge_comes_first() -> None:
    scores = {"a": torch.tensor([1.0, -2.0, 1.0]), "b": torch.tensor([[2.0, 1.0], [-1.0, 1.0]])}
    assert _chosen(scores, 1) == [False, True, False, False, False, False, False]
    assert _chosen(scores, 3) == [True, True, False, True, False, False, False]
    for n in range(8):
        assert sum(_chosen(scores, n)) == n


def test_equal_scores_are_cut_by_rank_in_a_graph_of_many_edges() -> None:
    """A sort that is not stable would scatter them."""
    assert _chosen({"a": torch.ones(50_000)}, 123) == [True] * 123 + [False] * (50_000 - 123)


@pytest.mark.parametrize("n_edges", [-1, 6, True])
def test_a_number_of_edges_that_there_is_not_is_refused(n_edges: int) -> None:
    with pytest.raises(ArgumentError, match="n_edges: wanted a whole number from 0 to 5"):
        top_edges(SCORES, n_edges)


def test_scores_rank_edges_by_parameter() -> None:
    """|min| + theta, or |max| - theta where a high parameter takes an edge out."""
    theta = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    scores = scores_from_parameters(theta, tree_optimisation=False)
    assert scores.tolist() == [0.0, 2.5, 5.0]
    assert scores_from_parameters(theta, tree_optimisation=True).tolist() == [5.0, 2.5, 0.0]
    assert not scores.requires_grad

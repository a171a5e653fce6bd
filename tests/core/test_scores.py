"""Scores from parameters, and circuits cut from scores."""

from __future__ import annotations

import pytest
import torch

from sp_widget.core.scores import (
    PruneScores,
    flat_importance,
    scores_from_parameters,
    top_edges,
)
from sp_widget.errors import ArgumentError

SCORES = PruneScores(
    {
        "blocks.0.hook_q_input": torch.tensor([[0.5], [-3.0]]),
        "blocks.0.hook_mlp_in": torch.tensor([2.0, 0.0, -1.0]),
    }
)


def _chosen(scores: dict[str, torch.Tensor], n: int) -> list[bool]:
    return [bool(x) for mask in top_edges(scores, n).values() for x in mask.flatten()]


def test_prune_scores_are_a_plain_dictionary() -> None:
    assert isinstance(SCORES, dict)
    assert list(SCORES) == ["blocks.0.hook_q_input", "blocks.0.hook_mlp_in"]
    assert dict(SCORES) == SCORES


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

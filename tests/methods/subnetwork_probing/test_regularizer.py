"""The sparsity term by its formula, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.sparsity import regularizer, soft_edge_count

THETA = [-2.0, 0.0, 1.0, 3.0]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _value(avoided: list[int] | None = None, **settings: Any) -> float:
    config = SubnetworkProbingConfig(**settings)
    theta = torch.tensor(THETA, dtype=torch.float64)
    count = soft_edge_count(theta, config)
    return regularizer(theta, count, config, torch.tensor(avoided or [], dtype=torch.long)).item()


@pytest.mark.parametrize(
    ("mask_fn", "total"), [(None, 2.0), ("sigmoid", sum(_sigmoid(x) for x in THETA))]
)
def test_edges_are_counted_as_a_share_of_all(mask_fn: Any, total: float) -> None:
    """With tree optimisation those that are not ablated."""
    assert _value(mask_fn=mask_fn) == pytest.approx(total / 4)
    assert _value(mask_fn=mask_fn, tree_optimisation=True) == pytest.approx((4 - total) / 4)


@pytest.mark.parametrize(
    ("tree", "size", "expected"),
    [
        # Sum of THETA 2: one edge above a size of 1, none above 2 or 3.
        (False, 1, 1.0),
        (False, 2, 0.0),
        (False, 3, 0.0),
        # 4 - 2 = 2 edges left.
        (True, 1, 1.0),
        (True, 4, 0.0),
    ],
)
def test_only_edges_above_the_circuit_size_count_in_units_of_it(
    tree: bool, size: int, expected: float
) -> None:
    value = _value(mask_fn=None, tree_optimisation=tree, circuit_size=size)
    assert value == pytest.approx(expected)


def test_the_excess_is_divided_by_the_circuit_size() -> None:
    theta = torch.full((10,), 0.9)
    config = SubnetworkProbingConfig(mask_fn=None, circuit_size=4)
    count = soft_edge_count(theta, config)
    none = torch.tensor([], dtype=torch.long)
    assert regularizer(theta, count, config, none).item() == pytest.approx((9 - 4) / 4)


@pytest.mark.parametrize(
    ("mask_fn", "penalty"),
    [
        (None, lambda x: x),
        ("sigmoid", _sigmoid),
        ("hard_concrete", lambda x: _sigmoid(x - 2 / 3 * math.log(0.1 / 1.1))),
    ],
)
def test_avoided_edges_cost_their_mean_penalty(mask_fn: Any, penalty: Any) -> None:
    """A `circuit_size` of all edges leaves nothing but the penalty."""
    expected = 0.5 * (penalty(THETA[0]) + penalty(THETA[3])) / 2
    settings = {"mask_fn": mask_fn, "circuit_size": 4, "avoid_lambda": 0.5}
    assert _value([0, 3], **settings) == pytest.approx(expected)


@pytest.mark.parametrize("mask_fn", [None, "sigmoid"])
def test_with_tree_optimisation_the_penalty_is_subtracted(mask_fn: Any) -> None:
    """There a high parameter keeps an edge out of the circuit."""
    settings: dict[str, Any] = {"mask_fn": mask_fn, "tree_optimisation": True}
    penalty = THETA[2] if mask_fn is None else _sigmoid(THETA[2])
    assert _value([2], **settings, avoid_lambda=3.0) == pytest.approx(
        _value(**settings) - 3 * penalty
    )


def test_hard_concrete_counts_one_fresh_sample_of_every_edge() -> None:
    """At theta = ln 5 P(m = 1) = sigmoid(ln 5 - 2/3 ln 11), so the count varies around its mean."""
    theta = torch.full((2000,), math.log(5))
    config = SubnetworkProbingConfig()
    draw = torch.Generator().manual_seed(0)
    counts = [soft_edge_count(theta, config, draw).item() for _ in range(50)]
    u = (torch.arange(100_000).double() + 0.5) / 100_000
    m = (torch.sigmoid((torch.logit(u) + math.log(5)) / (2 / 3)) * 1.2 - 0.1).clamp(0, 1)
    mean, sd = m.mean().item() * 2000, m.std().item() * math.sqrt(2000)
    assert len(set(counts)) == 50
    assert abs(sum(counts) / 50 - mean) < 5 * sd / math.sqrt(50)


@pytest.mark.parametrize("mask_fn", [None, "sigmoid"])
@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize("size", [None, 1])
def test_gradients_are_those_of_finite_differences(mask_fn: Any, tree: bool, size: Any) -> None:
    config = SubnetworkProbingConfig(mask_fn=mask_fn, tree_optimisation=tree, circuit_size=size)

    def value(theta: Tensor) -> Tensor:
        return regularizer(theta, soft_edge_count(theta, config), config, torch.tensor([1, 2]))

    theta = torch.tensor(THETA, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(value, theta)

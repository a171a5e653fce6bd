"""The p-values: against every outcome counted, and uniform where the null is true."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from scipy.stats import kstest

from sp_widget.evaluation.hypothesis_tests import (
    better_than_random_p,
    count_above,
    equivalence_p,
    equivalence_tost_p,
    independence,
    minimality_p,
    redundant_edges,
)

EPSILON = 0.1
KS_LEVEL = 1e-3
"""Below it, p-values that are drawn are taken for not uniform; the draws are seeded."""


def _chance(n: int, p: float, counted: Callable[[int], bool]) -> float:
    """The chance of the counted outcomes of n throws: a sum over all 2ⁿ of them."""
    total = 0.0
    for throws in itertools.product((0, 1), repeat=n):
        k = sum(throws)
        if counted(k):
            total += p**k * (1 - p) ** (n - k)
    return total


@pytest.mark.parametrize("n", [1, 4, 7])
def test_equivalence_counts_what_is_as_far_from_one_half(n: int) -> None:
    for halves in range(2 * n + 1):
        k = halves / 2
        as_far = _chance(n, 0.5 + EPSILON, lambda j, k=k: abs(2 * j - n) >= abs(2 * k - n))  # type: ignore[misc]
        assert equivalence_p(k, n, EPSILON) == pytest.approx(as_far), k
        assert equivalence_p(n - k, n, EPSILON) == pytest.approx(as_far)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_two_one_sided_tests_take_the_worse_side(n: int) -> None:
    for k in range(n + 1):
        low = _chance(n, 0.5 + EPSILON, lambda j, k=k: j <= k)  # type: ignore[misc]
        high = _chance(n, 0.5 - EPSILON, lambda j, k=k: j >= k)  # type: ignore[misc]
        assert equivalence_tost_p(k, n, EPSILON) == pytest.approx(max(low, high))
        if k < n:
            # A tie is taken for whichever is worse.
            between = equivalence_tost_p(k + 0.5, n, EPSILON)
            worse = max(equivalence_tost_p(k, n, EPSILON), equivalence_tost_p(k + 1, n, EPSILON))
            assert between >= worse - 1e-12


def test_ties_count_half() -> None:
    scores, others = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 2.2, 2.0, 9.0])
    assert count_above(scores, others) == 1.5
    assert count_above(scores, others, tie=0.5) == 2.0


def test_better_than_random_and_minimality_are_binomial_tails() -> None:
    n = 6
    for k in range(n + 1):
        assert better_than_random_p(k, n, 0.9) == pytest.approx(
            _chance(n, 0.9, lambda j, k=k: j >= k)  # type: ignore[misc]
        )
    random_effects = torch.arange(n).float()
    effects = torch.tensor([-1.0, 0.0, 2.5, 9.0])
    expected = [_chance(n, 0.9, lambda j, k=k: j <= k) for k in (0, 0, 3, 6)]  # type: ignore[misc]
    assert minimality_p(effects, random_effects, 0.9).tolist() == pytest.approx(expected)
    # An effect that is beyond a random one by no more than a tie does not count.
    assert minimality_p(effects, random_effects, 0.9, tie=1.0)[2] == pytest.approx(
        _chance(n, 0.9, lambda j: j <= 2)
    )


def test_redundant_edges_are_corrected_for_their_number() -> None:
    assert redundant_edges(torch.tensor([0.01, 0.02, 0.9]), 0.05).tolist() == [True, False, False]


def test_hsic_is_the_trace_of_centred_kernels() -> None:
    """Straight from its definition, and the share of all permutations where all can be tried."""
    n = 5
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, generator=draw).double()
    y = x.square() + 0.1 * torch.randn(n, generator=draw).double()
    width = sorted(abs(a - b).item() for a in x for b in y)[(n * n - 1) // 2]

    def kernel(values: torch.Tensor) -> torch.Tensor:
        return torch.tensor(
            [[math.exp(-((a - b) ** 2) / (2 * width**2)) for b in values] for a in values]
        ).double()

    h = torch.eye(n).double() - 1 / n

    def hsic(order: tuple[int, ...]) -> float:
        return float(torch.trace(kernel(x) @ h @ kernel(y[list(order)]) @ h)) / (n - 1) ** 2

    orders = list(itertools.permutations(range(n)))
    share = sum(hsic(order) >= hsic(orders[0]) - 1e-12 for order in orders) / len(orders)
    found = independence(x, y, 3000, draw)
    assert found.hsic == pytest.approx(hsic(orders[0]), rel=1e-5)
    # Four standard deviations of a share of 3,000.
    assert found.p == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 3000))


def test_independence_is_rejected_where_one_follows_from_the_other() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(60, generator=draw)
    assert independence(x, x.square(), 199, draw).p == 1 / 200
    assert independence(x, torch.zeros(60), 19, draw).p == 1


def test_p_values_are_uniform_where_the_null_is_true() -> None:
    """Scores drawn at the edge of each null; many prompts, so that the steps of p are small."""
    draw = torch.Generator().manual_seed(0)
    n, repeats = 20_000, 300
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        model = torch.randn(n, generator=draw)
        gains = torch.rand(n, generator=draw) - (0.5 - EPSILON)  # Above 0 with a chance of ½ + ε.
        above = count_above(model + gains, model)
        found.setdefault("equivalence", []).append(equivalence_p(above, n, EPSILON))
        found.setdefault("two one-sided", []).append(equivalence_tost_p(above, n, EPSILON))
        effects = torch.rand(n, generator=draw)  # 0.9 is above one of them with a chance of 0.9.
        p = minimality_p(torch.tensor([0.9]), effects, 0.9).item()
        found.setdefault("minimality", []).append(p)
        better = int((effects < 0.9).sum())
        found.setdefault("random circuits", []).append(better_than_random_p(better, n, 0.9))
        x, y = torch.randn(2, 20, generator=draw)
        found.setdefault("independence", []).append(independence(x, y, 99, draw).p)
    for name, p_values in found.items():
        assert kstest(p_values, "uniform").pvalue > KS_LEVEL, name
    # The same check sees p-values that are not.
    assert kstest([p**1.5 for p in found["equivalence"]], "uniform").pvalue < KS_LEVEL

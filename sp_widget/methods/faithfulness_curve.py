"""The faithfulness of a ranking at several sizes, measured while it is trained, one size at a time.

A method that ranks all edges has no circuit of its own until somebody cuts the ranking. Here the
cut is where the circuit costs least: what it loses, plus a price for its edges.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

MOST_SIZES = 16


def sizes_of(n_edges: int) -> list[int]:
    """Return at most `MOST_SIZES` sizes from 1 to all edges, evenly on a log axis."""
    return spread_sizes(n_edges, MOST_SIZES)


def spread_sizes(n_edges: int, at_most: int) -> list[int]:
    """Return sizes from 1 to all edges, evenly on a log axis; small ones that are equal once."""
    steps = range(at_most)
    return sorted({round(math.exp(s / (at_most - 1) * math.log(n_edges))) for s in steps})


def unmeasured(n_edges: int, device: torch.device) -> Float[Tensor, " sizes"]:
    """Return a curve on which nothing was measured yet."""
    return torch.full((len(sizes_of(n_edges)),), torch.nan, device=device)


def size_of_least_cost(curve: Float[Tensor, " sizes"], n_edges: int, price_of_all: float) -> int:
    """Return the size of least `faithfulness + price_of_all * size / n_edges`.

    `curve`: the faithfulness at each of `sizes_of(n_edges)`, NaN where it was not measured: such a
    size is not chosen. All edges where nothing was measured.
    """
    costs = [
        (value + price_of_all * size / n_edges, size)
        for size, value in zip(sizes_of(n_edges), curve.tolist(), strict=True)
        if not math.isnan(value)
    ]
    return min(costs, default=(0.0, n_edges))[1]

"""What methods share that rank edges and choose no circuit: its size is a setting."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.methods.parameter import whole_number

DEFAULT_SHARE = 0.1
"""The share of all edges that a circuit holds where nobody says how many."""


def circuit_size() -> Any:
    """Make the field for the number of edges in the circuit that is shown and measured."""
    return whole_number(
        None,
        "Circuit size",
        "Number of edges in the circuit that is shown and measured: the top ones of the ranking. "
        "It changes nothing about the scores.",
        optional="a tenth of all edges",
    )


def circuit_size_of(size: int | None, n_edges: int) -> int:
    """Return the number of edges that the field stands for; at least 1."""
    return max(1, round(DEFAULT_SHARE * n_edges)) if size is None else size


def share_of_ranks(
    ranks: Float[Tensor, " edges"], share: float, temperature: float = 0.2
) -> Float[Tensor, " edges"]:
    """Return p = σ((rank − b) / temperature), with b such that the mean of p is `share`.

    `ranks`: from 0 to 1. After the warm start of the MIB circuit track (cisnlp).
    """
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        too_many = torch.sigmoid((ranks - middle) / temperature).mean().item() > share
        low, high = (middle, high) if too_many else (low, middle)
    return torch.sigmoid((ranks - (low + high) / 2) / temperature)

"""What methods share that rank edges and choose no circuit: its size is a setting."""

from __future__ import annotations

from typing import Any

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

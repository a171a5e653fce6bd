"""Whether the widget can work with what it is given, beside what a training needs."""

from __future__ import annotations

import traitlets

from sp_widget.errors import ArgumentError
from sp_widget.widget.namespace import name_problem


def check_save_as(save_as: object) -> None:
    """Raise `ArgumentError` for what is not the name of a variable of the user's own."""
    if not isinstance(save_as, str):
        raise ArgumentError("save_as", "the name of a variable", save_as)
    problem = name_problem(save_as)
    if problem:
        raise ArgumentError("save_as", "the name of a variable of your own", save_as)


def checked_size(count: int | None, n_edges: int) -> int | None:
    """Return a trait's number of edges in a circuit; raises `TraitError` for one that no circuit
    of a model with `n_edges` edges has."""
    if count is not None and not 0 <= count <= n_edges:
        raise traitlets.TraitError(f"n_edges: from 0 to {n_edges}, got {count}")
    return count

"""Prune scores: an ordering of the edges by importance, and circuits cut from it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.errors import ArgumentError


class PruneScores(dict[str, Tensor]):
    """Destination module name to the scores of its incoming edges.

    `blocks.1.hook_q_input` holds `[heads, sources]`, `blocks.1.hook_mlp_in` holds `[sources]`,
    with a leading `[seq]` where every token position has its own edges. The importance of an
    edge is the absolute value of its score. A plain `dict` in all respects: the class only
    tells that these are scores.
    """


def flat_importance(prune_scores: Mapping[str, Tensor]) -> Float[Tensor, " edges"]:
    """Absolute scores of all edges, module after module."""
    return torch.cat([score.reshape(-1) for score in prune_scores.values()]).abs()


def top_edges(
    prune_scores: Mapping[str, Tensor], n_edges: int
) -> dict[str, Bool[Tensor, "*scores"]]:
    """The circuit of exactly the `n_edges` most important edges, as masks like the scores.

    Cut by rank: among equal scores the earlier edge comes first, so ties admit no extra edges.
    """
    importance = flat_importance(prune_scores)
    if isinstance(n_edges, bool) or not 0 <= n_edges <= len(importance):
        raise ArgumentError("n_edges", f"a whole number from 0 to {len(importance)}", n_edges)
    chosen = torch.zeros(len(importance), dtype=torch.bool, device=importance.device)
    chosen[importance.argsort(descending=True, stable=True)[:n_edges]] = True
    parts = chosen.split([score.numel() for score in prune_scores.values()])
    return {
        name: part.view(score.shape)
        for (name, score), part in zip(prune_scores.items(), parts, strict=True)
    }


def scores_from_parameters(
    theta: Float[Tensor, " edges"], tree_optimisation: bool
) -> Float[Tensor, " edges"]:
    """`|x| + sign * theta`: most important edges highest, as the reference scores them.

    `x = min theta, sign = +1`; with `tree_optimisation`, where a high parameter means that the
    edge is ablated, `x = max theta, sign = -1`.
    """
    theta = theta.detach()
    extreme, sign = (theta.max(), -1) if tree_optimisation else (theta.min(), 1)
    return extreme.abs() + sign * theta

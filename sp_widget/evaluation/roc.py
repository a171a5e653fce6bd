"""How well prune scores find the edges of a known circuit."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from sp_widget.circuits.arguments import check_scores
from sp_widget.circuits.scores import flat_importance
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge


def auroc(
    model: PatchableModel, prune_scores: Mapping[str, Tensor], official_edges: Collection[Edge]
) -> float:
    """Area under the ROC curve of importance (absolute score) against the known edges.

    The chance that a known edge scores above an edge outside the circuit, ties counted half:
    1.0 is perfect, 0.5 is guessing. Raises `ArgumentError` with the name of a bad argument.
    """
    check_scores(prune_scores, model.graph)
    if not isinstance(official_edges, Collection) or not all(
        isinstance(edge, Edge) for edge in official_edges
    ):
        raise ArgumentError("official_edges", "a collection of edges of the model", official_edges)
    known = torch.zeros(model.n_edges, dtype=torch.bool)
    known[model.graph.flat_index(official_edges)] = True
    n_known, n_other = int(known.sum()), int((~known).sum())
    if n_known == 0 or n_other == 0:
        raise ArgumentError(
            "official_edges", f"some but not all of the {model.n_edges} edges", n_known
        )
    importance = flat_importance(
        {module.name: prune_scores[module.name] for module in model.graph.modules}
    ).cpu()
    # Mann-Whitney: the ranks of the known edges, equal scores sharing their mean rank.
    _, group, sizes = importance.unique(return_inverse=True, return_counts=True)
    last_rank = sizes.cumsum(0).double()
    ranks = (last_rank - (sizes.double() - 1) / 2)[group]
    u: float = ranks[known].sum().item() - n_known * (n_known + 1) / 2
    return u / (n_known * n_other)

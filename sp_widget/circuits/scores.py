"""Prune scores: an ordering of the edges by importance, and circuits cut from it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits import score_files
from sp_widget.circuits.arguments import check_count, check_scores
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import BaseGraph, Edge

if TYPE_CHECKING:
    from networkx import MultiDiGraph
    from pandas import DataFrame

_SHOWN_IN_TEXT, _SHOWN_IN_TABLE = 3, 20


class PruneScores(dict[str, Tensor]):
    """Destination module name to the scores of its incoming edges.

    `blocks.1.hook_q_input` holds `[heads, sources]`, `blocks.1.hook_mlp_in` holds `[sources]`,
    with a leading `[seq]` where every token position has its own edges. The importance of an
    edge is the absolute value of its score.

    A plain `dict` that also knows its edges by name. Made from a dictionary that was loaded
    from a file: `PruneScores(tensors, model.graph)`.
    """

    def __init__(self, scores: Mapping[str, Tensor], graph: BaseGraph) -> None:
        check_scores(scores, _checked(graph), "scores")
        # In the order of the graph, which a dictionary from a file need not have.
        super().__init__({module.name: scores[module.name] for module in graph.modules})
        self.graph = graph

    def __reduce__(self) -> tuple[Any, ...]:
        return PruneScores, (dict(self), self.graph)

    def top(self, n_edges: int) -> list[tuple[Edge, float]]:
        """The `n_edges` most important edges with their scores, the most important first.

        All edges if there are fewer. Raises `ArgumentError` for what is no number of edges.
        """
        importance = flat_importance(self)
        n_edges = min(check_count(n_edges, None), len(importance))
        order = importance.argsort(descending=True, stable=True)[:n_edges]
        edges = self.graph.edges_at(order.tolist())
        return [(edge, edge.prune_score(self).item()) for edge in edges]

    def to_dataframe(self) -> DataFrame:
        """All edges as a pandas table, the most important first.

        Columns: `edge`, `source`, `destination`, `position` (`None` where an edge stands for
        all token positions), `score`.
        """
        import pandas

        rows = [
            (edge.name, edge.src.name, edge.dest.name, edge.seq_idx, score)
            for edge, score in self.top(self.graph.n_edges)
        ]
        columns = ["edge", "source", "destination", "position", "score"]
        return pandas.DataFrame(rows, columns=columns)

    def to_networkx(self, n_edges: int) -> MultiDiGraph:
        """The circuit of the `n_edges` most important edges as a networkx graph.

        Nodes are those of the method by name; an edge has the attributes `score` and `position`,
        which is also its key, so that token-wise edges stay apart.
        """
        import networkx

        circuit = networkx.MultiDiGraph()
        for edge, score in self.top(n_edges):
            circuit.add_edge(
                edge.src.name, edge.dest.name, edge.seq_idx, score=score, position=edge.seq_idx
            )
        return circuit

    def save(self, path: str | Path) -> None:
        """Write them to a `.json` or `.safetensors` file, together with the names of the graph.

        Raises `ArgumentError` for another ending.
        """
        score_files.write(self, self.graph, path)

    @classmethod
    def load(cls, path: str | Path, graph: BaseGraph) -> PruneScores:
        """Read what `save` wrote, exactly: `PruneScores.load("scores.json", model.graph)`.

        Raises `ArgumentError` for another kind of file, and for the scores of a model with other
        nodes. Two models of one shape cannot be told apart.
        """
        return cls(score_files.read(path, _checked(graph)), graph)

    def __repr__(self) -> str:
        best = ", ".join(f"{edge!r} {score:.2f}" for edge, score in self.top(_SHOWN_IN_TEXT))
        return f"PruneScores({self.graph.n_edges:,} edges; highest: {best})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{rank}</td><td>{escape(edge.src.name)}</td><td>{escape(edge.dest.name)}</td>"
            f"<td>{'' if edge.seq_idx is None else edge.seq_idx}</td><td>{score:.3f}</td></tr>"
            for rank, (edge, score) in enumerate(self.top(_SHOWN_IN_TABLE), start=1)
        )
        titles = ("", "source", "destination", "position", "score")
        head = "".join(f"<th>{title}</th>" for title in titles)
        return (
            f"<table><caption>Prune scores of {self.graph.n_edges:,} edges, highest first"
            f"</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _checked(graph: object) -> BaseGraph:
    if not isinstance(graph, BaseGraph):
        raise ArgumentError("graph", "the graph of a model, model.graph", type(graph))
    return graph


def flat_importance(prune_scores: Mapping[str, Tensor]) -> Float[Tensor, " edges"]:
    """Absolute scores of all edges, module after module."""
    return torch.cat([score.reshape(-1) for score in prune_scores.values()]).abs()


def top_edges(
    prune_scores: Mapping[str, Tensor], n_edges: int
) -> dict[str, Bool[Tensor, "*scores"]]:
    """The circuit of exactly the `n_edges` most important edges, as masks like the scores.

    Cut by rank: among equal scores the earlier edge comes first, so ties admit no extra edges.
    Raises `ArgumentError` for what are no scores, and for what is no number of their edges.
    """
    importance = flat_importance(check_scores(prune_scores))
    n_edges = check_count(n_edges, len(importance))
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


def finite(scores: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
    """Return scores to draw: an infinite one ("never removed") is twice the largest finite one."""
    known = scores[scores.isfinite()].abs()
    beyond = 2 * known.max().item() if known.numel() and known.max() > 0 else 1.0
    return torch.nan_to_num(scores, nan=torch.nan, posinf=beyond, neginf=-beyond)


def largest(importance: Float[Tensor, " edges"], k: int) -> Bool[Tensor, " edges"]:
    """Return the `k` edges of largest importance, or all where there are fewer; of equal ones the
    earlier.
    """
    chosen = torch.zeros_like(importance, dtype=torch.bool)
    chosen[importance.argsort(descending=True, stable=True)[: max(k, 0)]] = True
    return chosen

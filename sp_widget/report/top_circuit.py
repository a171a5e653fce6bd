"""The circuit of a picture: which edges, which of them carry anything, and what is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sp_widget.circuits.paths import is_causal, on_paths, output_positions
from sp_widget.circuits.scores import PruneScores, finite, largest
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.report.circuit_data import GraphData
from sp_widget.report.edited_circuit import edited_circuit

Verdict = Literal["hit", "miss", "extra"]

VERDICT_LABELS: Mapping[Verdict, str] = {
    "hit": "Hits: known and in the circuit",
    "miss": "Misses: known, not in the circuit",
    "extra": "Extras: in the circuit, not known",
}
"""As a legend explains them."""

DEFAULT_SIZE = 50
"""Edges where nothing says how many there should be."""


@dataclass(frozen=True)
class TopEdge:
    """An edge of the picture."""

    edge: Edge
    place: int
    """In the flat vector of all edges."""
    score: float
    carries: bool
    """Whether it lies on a path from the input to the output of the circuit."""
    verdict: Verdict | None
    """How it compares with the known circuit; a miss is not in this one."""


@dataclass(frozen=True)
class TopCircuit:
    """The circuit of the most important edges, after some switches."""

    edges: list[TopEdge]
    """The most important first, then the misses."""
    size: int
    """Edges, without the misses."""
    n_switched: int
    """Edges that it has or lacks because they were switched by hand."""
    strongest: float
    """The largest absolute score of all edges of the model."""
    compared: bool
    """Whether a circuit is known to compare with."""

    @property
    def carrying(self) -> list[TopEdge]:
        """The edges on a path from the input to the output."""
        return [each for each in self.edges if each.carries]

    def count(self, verdict: Verdict) -> int:
        """How many edges compare like this with the known circuit."""
        return sum(each.verdict == verdict for each in self.edges)


def top_circuit(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    n_edges: int,
    official_edges: Collection[Edge] | None,
    data: GraphData,
    switches: Sequence[str],
) -> TopCircuit:
    """Return the circuit of the `n_edges` most important edges, after some switches.

    Raises `ArgumentError` for scores or switches of another model, or for a number beyond its
    edges.
    """
    graph = model.graph
    scores = PruneScores(prune_scores, graph)
    if isinstance(n_edges, bool) or not 0 <= n_edges <= graph.n_edges:
        raise ArgumentError("n_edges", f"a whole number from 0 to {graph.n_edges}", n_edges)
    flat = graph.flatten(dict(scores)).detach().cpu()
    importance = flat.abs()
    unedited = largest(importance, n_edges)
    included = edited_circuit(graph, data, unedited, switches)
    order = importance.argsort(descending=True, stable=True)
    places = order[included[order]]
    top = graph.edges_at(places.tolist())
    on_path = on_paths(graph, included, causal=is_causal(model), outputs=output_positions(model))
    known = None if official_edges is None else frozenset(official_edges)

    def verdict(edge: Edge) -> Verdict | None:
        return None if known is None else "hit" if edge in known else "extra"

    edges = [
        TopEdge(edge, place, score, carries, verdict(edge))
        for edge, place, score, carries in zip(
            top, places.tolist(), flat[places].tolist(), on_path[places].tolist(), strict=True
        )
    ]
    missed = sorted((known or frozenset()) - set(top), key=repr)
    edges += [
        TopEdge(edge, place, edge.prune_score(scores).item(), False, "miss")
        for edge, place in zip(missed, graph.flat_index(missed).tolist(), strict=True)
    ]
    return TopCircuit(
        edges=edges,
        size=len(top),
        n_switched=int((included ^ unedited).sum()),
        strongest=finite(flat).abs().max().item(),
        compared=known is not None,
    )

"""Random paths from the input to the output, and circuits made of them.

Edges drawn one by one lie on no path, most of them, and so do nothing: any circuit beats them.
Whole paths are the fairer comparison.
"""

from __future__ import annotations

import random

import torch
from jaxtyping import Bool
from torch import Tensor

from sp_widget.circuits.paths import is_causal, output_positions
from sp_widget.engine.patchable_model import PatchableModel

_TRIES = 200
"""Paths drawn in vain before something else is done."""


class RandomPaths:
    """Draws paths through the graph of a model. The same seed draws the same paths."""

    def __init__(self, model: PatchableModel, seed: int) -> None:
        graph = model.graph
        self._n_edges = graph.n_edges
        self._draw = random.Random(seed)
        self._outputs, self._causal = output_positions(model), is_causal(model)
        self._end_row, self._n_positions = graph.end_row, graph.n_positions
        self._readers: list[list[tuple[int, bool]]] = [[] for _ in graph.srcs]
        """The destinations that help to compute each source, and whether attention moves them."""
        for row, feeds in enumerate(graph.feeds):
            for feed in feeds:
                for src in feed.srcs:
                    self._readers[src].append((row, feed.moves))
        self._incoming: list[tuple[int, Tensor]] = []
        """For each destination its first source, and its edges, `[positions, sources]`."""
        places = graph.split(torch.arange(graph.n_edges))
        for module in graph.modules:
            by_row = places[module.name].view(graph.n_positions, len(module.rows), -1)
            self._incoming += [(module.srcs.start, row) for row in by_row.unbind(1)]

    def path(self) -> list[int]:
        """Return the edges of one path, from the output back to the input.

        Every destination on it reads any of its sources with the same chance, and every source is
        reached by way of any destination that helps to compute it.
        """
        row, position = self._end_row, self._draw.choice(self._outputs)
        path = []
        while True:
            first, edges = self._incoming[row]
            source = self._draw.randrange(edges.shape[1])
            path.append(int(edges[position, source]))
            readers = self._readers[first + source]
            if not readers:
                return path
            row, moves = self._draw.choice(readers)
            if moves:
                end = position + 1 if self._causal else self._n_positions
                position = self._draw.randrange(end)

    def circuit(self, n_edges: int) -> Bool[Tensor, " edges"]:
        """Return a circuit of exactly `n_edges` edges, made of whole paths as far as they fit."""
        chosen: set[int] = set()
        in_vain = 0
        while len(chosen) < n_edges and in_vain < _TRIES:
            new = set(self.path()) - chosen
            if new and len(chosen) + len(new) <= n_edges:
                chosen |= new
                in_vain = 0
            else:
                in_vain += 1
        if len(chosen) < n_edges:
            others = [edge for edge in range(self._n_edges) if edge not in chosen]
            chosen.update(self._draw.sample(others, n_edges - len(chosen)))
        return self._marked(chosen)

    def inflated(
        self, circuit: Bool[Tensor, " edges"]
    ) -> tuple[Bool[Tensor, " edges"], Bool[Tensor, " edges"]] | None:
        """Return a circuit with a random path added, and the same without one of the new edges.

        `None` where no path has a new edge.
        """
        for _ in range(_TRIES):
            path = self.path()
            new = [edge for edge in path if not circuit[edge]]
            if new:
                larger = circuit.clone()
                larger[path] = True
                without = larger.clone()
                without[self._draw.choice(new)] = False
                return larger, without
        return None

    def _marked(self, edges: set[int]) -> Bool[Tensor, " edges"]:
        marked = torch.zeros(self._n_edges, dtype=torch.bool)
        marked[list(edges)] = True
        return marked

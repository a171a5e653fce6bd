"""Circuits drawn by chance: what a circuit of as many edges is worth by itself."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from sp_widget.graph.base_graph import BaseGraph


def random_circuit(
    order: Int[Tensor, " edges"], circuit: Bool[Tensor, " edges"]
) -> Bool[Tensor, " edges"]:
    """Return as many edges as `circuit` has: the first of a random order.

    `order`: the place of every edge in that order, from 0 on.
    """
    return order < circuit.sum()


def random_circuit_within_layers(
    order: Int[Tensor, " edges"],
    circuit: Bool[Tensor, " edges"],
    pairs: Int[Tensor, " edges"],
) -> Bool[Tensor, " edges"]:
    """Return, for every pair of layers, as many of its edges as `circuit` has there.

    Edges are not exchangeable: most lead into late layers, and circuits are not spread like that.
    `pairs`: `layer_pairs` of the graph.
    """
    of_pair, in_circuit = pairs.bincount(), pairs[circuit].bincount(minlength=int(pairs.max()) + 1)
    by_pair = (pairs * len(order) + order).argsort()
    first = of_pair.cumsum(0) - of_pair
    place_in_pair = torch.empty_like(order)
    place_in_pair[by_pair] = torch.arange(len(order)) - first[pairs[by_pair]]
    return place_in_pair < in_circuit[pairs]


def layer_pairs(graph: BaseGraph) -> Int[Tensor, " edges"]:
    """Return a number for every edge, which is the same for all edges between the same layers."""
    layers = torch.tensor([src.layer for src in graph.srcs])
    n_layers = max(dest.layer for dest in graph.dests) + 1
    numbers = {}
    for module in graph.modules:
        into = graph.dests[module.rows.start].layer
        of_sources = layers[module.srcs.start : module.srcs.stop] * n_layers + into
        numbers[module.name] = of_sources.expand(module.mask_shape(graph.seq_len))
    numbered: Tensor = graph.flatten(numbers).unique(return_inverse=True)[1]
    return numbered

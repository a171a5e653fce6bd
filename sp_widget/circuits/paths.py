"""Which edges of a circuit lie on a path from the input to the output.

A circuit cut by rank may hold edges that carry nothing: edges out of a node that the circuit
feeds nothing, and edges into a node whose output nothing in the circuit reads.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor

from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import BaseGraph, DestModule


def edges_on_paths(
    model: PatchableModel, circuit: Mapping[str, Bool[Tensor, "*scores"]]
) -> dict[str, Bool[Tensor, "*scores"]]:
    """The part of a circuit that carries anything from the prompt to the logits that count.

    `circuit`: masks in the shapes of the scores, as `top_edges` makes them. Where every token
    position has its own edges, attention carries what the keys and values of a head read to its
    output at this and later positions (at all positions in a bidirectional model), and the
    output is `Resid End` at the positions of `model.out_slice`.

    Raises `ArgumentError` for masks that do not fit the model.
    """
    graph = model.graph
    wanted = {module.name: module.mask_shape(graph.seq_len) for module in graph.modules}
    got = {name: tuple(mask.shape) for name, mask in circuit.items()}
    if got != wanted:
        raise ArgumentError("circuit", f"masks of the shapes {wanted}", got)
    carrying = on_paths(
        graph,
        graph.flatten(dict(circuit)).bool(),
        causal=is_causal(model),
        outputs=output_positions(model),
    )
    return graph.split(carrying)


def on_paths(
    graph: BaseGraph, circuits: Bool[Tensor, "*n edges"], *, causal: bool, outputs: range
) -> Bool[Tensor, "*n edges"]:
    """`edges_on_paths` on flat vectors of a graph's edges, of one circuit or of many at once.

    The many small steps along the nodes take as long for dozens of circuits as for one.
    """
    n = circuits.numel() // graph.n_edges
    masks = graph.split(circuits)

    def as_rows(module: DestModule) -> Bool[Tensor, "n positions rows sources"]:
        return masks[module.name].reshape(n, graph.n_positions, len(module.rows), module.n_sources)

    # What a source writes depends on the input; what a destination reads reaches the output.
    fed = circuits.new_zeros(n, graph.n_positions, len(graph.srcs))
    fed[:, :, _slice(graph.from_input)] = True
    for module in graph.modules:
        reached = (as_rows(module) & fed[:, :, None, _slice(module.srcs)]).any(-1)
        for row, at in zip(module.rows, reached.unbind(-1), strict=True):
            for feed in graph.feeds[row]:
                spread = _onwards(at, causal) if feed.moves else at
                fed[:, :, _slice(feed.srcs)] |= spread[..., None]

    read = circuits.new_zeros(n, graph.n_positions, len(graph.dests))
    needed = circuits.new_zeros(n, graph.n_positions, len(graph.srcs))
    read[:, outputs.start : outputs.stop, graph.end_row] = True
    for module in reversed(graph.modules):
        for row in module.rows:
            for feed in graph.feeds[row]:
                at = needed[:, :, _slice(feed.srcs)].any(-1)
                read[:, :, row] |= _onwards(at.flip(-1), causal).flip(-1) if feed.moves else at
        rows = read[:, :, _slice(module.rows), None]
        needed[:, :, _slice(module.srcs)] |= (as_rows(module) & rows).any(2)

    carrying = [
        as_rows(module)
        & fed[:, :, None, _slice(module.srcs)]
        & read[:, :, _slice(module.rows), None]
        for module in graph.modules
    ]
    return torch.cat([part.reshape(n, -1) for part in carrying], -1).view(circuits.shape)


def is_causal(model: PatchableModel) -> bool:
    """Whether attention only looks back."""
    return getattr(model.cfg, "attention_dir", "causal") != "bidirectional"


def output_positions(model: PatchableModel) -> range:
    """The positions of `Resid End` that count, among those that have edges of their own."""
    positions = range(model.graph.n_positions)
    # An edge that stands for all positions stands for those that count as well.
    return positions if model.seq_len is None else positions[model.out_positions]


def _slice(places: range) -> slice:
    return slice(places.start, places.stop)


def _onwards(reached: Bool[Tensor, "n positions"], causal: bool) -> Bool[Tensor, "n positions"]:
    """The positions that attention carries to: from those reached on, or all of them."""
    if causal:
        return reached.cummax(-1).values
    return reached.any(-1, keepdim=True).expand_as(reached)

"""Which edges of a circuit lie on a path from the input to the output.

A circuit cut by rank may hold edges that carry nothing: edges out of a node that the circuit
feeds nothing, and edges into a node whose output nothing in the circuit reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Bool
from torch import Tensor

from sp_widget.core.graph import DestModule, Graph
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError


def edges_on_paths(
    model: PatchableModel, circuit: Mapping[str, Bool[Tensor, "*scores"]]
) -> dict[str, Bool[Tensor, "*scores"]]:
    """The part of a circuit that carries anything from `Resid Start` to the logits that count.

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
    graph: Graph, circuit: Bool[Tensor, " edges"], *, causal: bool, outputs: range
) -> Bool[Tensor, " edges"]:
    """`edges_on_paths` on the flat vector of a graph's edges."""
    masks = graph.split(circuit)
    feeds = fed_sources(graph)

    def as_rows(module: DestModule) -> Bool[Tensor, "positions rows sources"]:
        return masks[module.name].view(graph.n_positions, len(module.rows), module.n_sources)

    # What a source writes depends on the input; what a destination reads reaches the output.
    fed = circuit.new_zeros(graph.n_positions, len(graph.srcs))
    fed[:, 0] = True
    for module in graph.modules:
        reached = (as_rows(module) & fed[:, None, : module.n_sources]).any(-1)
        for row, at in zip(module.rows, reached.unbind(1), strict=True):
            spread = _onwards(at, causal) if moves(module) else at
            fed[:, feeds[row].start : feeds[row].stop] |= spread[:, None]

    read = circuit.new_zeros(graph.n_positions, len(graph.dests))
    needed = circuit.new_zeros(graph.n_positions, len(graph.srcs))
    read[outputs.start : outputs.stop, graph.end_row] = True
    for module in reversed(graph.modules):
        for row in module.rows:
            at = needed[:, feeds[row].start : feeds[row].stop].any(1)
            read[:, row] |= _onwards(at.flip(0), causal).flip(0) if moves(module) else at
        rows = read[:, module.rows.start : module.rows.stop, None]
        needed[:, : module.n_sources] |= (as_rows(module) & rows).any(1)

    return graph.flatten(
        {
            module.name: as_rows(module)
            & fed[:, None, : module.n_sources]
            & read[:, module.rows.start : module.rows.stop, None]
            for module in graph.modules
        }
    )


def fed_sources(graph: Graph) -> list[range]:
    """The sources that each destination helps to compute; none for `Resid End`.

    The queries of a head compute that head; keys and values compute all heads that share them;
    where a block's attention is one source, every head computes that.
    """
    feeds = [range(0)] * len(graph.dests)
    for span in graph.spans:
        n_sources, first = len(span.attn_srcs), span.attn_srcs.start
        for module in graph.modules:
            if module.rows.start not in span.attn_rows:
                continue
            for head, row in enumerate(module.rows):
                if n_sources == 1:
                    feeds[row] = span.attn_srcs
                else:
                    group = n_sources // len(module.rows)
                    feeds[row] = range(first + head * group, first + (head + 1) * group)
        if span.mlp_row is not None and span.mlp_src is not None:
            feeds[span.mlp_row] = range(span.mlp_src, span.mlp_src + 1)
    return feeds


def moves(module: DestModule) -> bool:
    """Whether attention carries what these destinations read to other positions."""
    return module.has_heads and not module.name.endswith(".hook_q_input")


def is_causal(model: PatchableModel) -> bool:
    """Whether attention only looks back."""
    return getattr(model.cfg, "attention_dir", "causal") != "bidirectional"


def output_positions(model: PatchableModel) -> range:
    """The positions of `Resid End` that count, among those that have edges of their own."""
    positions = range(model.graph.n_positions)
    # An edge that stands for all positions stands for those that count as well.
    return positions if model.seq_len is None else positions[model.out_positions]


def _onwards(reached: Bool[Tensor, " positions"], causal: bool) -> Bool[Tensor, " positions"]:
    """The positions that attention carries to: from those reached on, or all of them."""
    if causal:
        return reached.cummax(0).values
    return reached.any().expand_as(reached)

"""The circuits that the literature found for standard tasks, as edges.

The papers describe groups of heads and what they pass to each other. Which edges that makes was
settled by Conmy et al. 2023 (arXiv 2304.14997) and Miller, Chughtai & Saunders 2024 (auto-circuit,
arXiv 2407.08734); the sets here are those of auto-circuit's `ioi_true_edges`,
`greaterthan_true_edges` and `docstring_true_edges`, each for all token positions. They have 739 and
235 of the 32,491 edges of GPT-2 small, and 24 of the 1,281 of the four-layer model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.graph.edge_graph import Edge

_INPUT, _OUTPUT = "Resid Start", "Resid End"

Heads = Sequence[tuple[int, int]]
"""Layer and number of each head."""


@dataclass(frozen=True)
class Circuit:
    """A published circuit, and the model that it was found in."""

    models: tuple[str, ...]
    """Names that the model goes by, without the name of who published it."""
    n_edges: int
    """Edges of that model: a model of the same name and another shape is not it."""
    edge_names: Callable[[], set[str]]
    """Returns names of edges; those that the model has not, because a destination does not come
    behind its source, do not count."""


def official_edges(task: str, model: PatchableModel) -> set[Edge] | None:
    """Return the edges of the task's circuit; `None` where none is known of this very model.

    The circuits have edges to queries, keys and values, and say nothing of single token positions:
    `None` too for a model whose edges are others.
    """
    circuit = CIRCUITS.get(task)
    if circuit is None or not model.separate_qkv or model.seq_len is not None:
        return None
    # On the hub the name has its owner in front; a folder may have the name of what it holds.
    name = Path(getattr(model.cfg, "model_name", None) or "").name
    if name not in circuit.models or model.n_edges != circuit.n_edges:
        return None
    names = circuit.edge_names()
    return {edge for edge in model.edges if edge.name in names}


def _edges(sources: Iterable[str], dests: Iterable[str]) -> set[str]:
    """Return every edge from one of these to one of those."""
    dests = list(dests)
    return {f"{source}->{dest}" for source in sources for dest in dests}


def _outputs(heads: Heads) -> list[str]:
    return [f"A{layer}.{head}" for layer, head in heads]


def _inputs(heads: Heads, letters: str = "QKV") -> list[str]:
    return [f"A{layer}.{head}.{letter}" for layer, head in heads for letter in letters]


def _mlps(layers: Iterable[int]) -> list[str]:
    return [f"MLP {layer}" for layer in layers]


# Figure 2 of Wang et al. 2022 and the text around it.
_IOI_HEADS: Mapping[str, Heads] = {
    "previous token": ((2, 2), (4, 11)),
    "duplicate token": ((0, 1), (0, 10), (3, 0)),
    "induction": ((5, 5), (5, 8), (5, 9), (6, 9)),
    "S inhibition": ((7, 3), (7, 9), (8, 6), (8, 10)),
    "name mover": ((9, 6), (9, 9), (10, 0)),
    "backup name mover": (
        (9, 0), (9, 7), (10, 1), (10, 2), (10, 6), (10, 10), (11, 2), (11, 9),
    ),
    "negative name mover": ((10, 7), (11, 10)),
}  # fmt: skip

_NAME_MOVERS = ("name mover", "backup name mover", "negative name mover")

# From, to, and what of the receiving heads it reaches.
_IOI_CONNECTIONS = (
    (_INPUT, "previous token", "QKV"),
    (_INPUT, "duplicate token", "QKV"),
    (_INPUT, "S inhibition", "Q"),
    ("previous token", "induction", "KV"),
    ("induction", "S inhibition", "KV"),
    ("duplicate token", "S inhibition", "KV"),
    *((_INPUT, movers, "KV") for movers in _NAME_MOVERS),
    *(("S inhibition", movers, "Q") for movers in _NAME_MOVERS),
)


def _ioi_edge_names() -> set[str]:
    names: set[str] = set()
    for sender, receiver, letters in _IOI_CONNECTIONS:
        senders, receivers = _IOI_HEADS.get(sender, ()), _IOI_HEADS[receiver]
        # The paper lets activations flow through the MLPs between two groups of heads. (Not between
        # the name movers and the output, in auto-circuit's set.)
        first = min((layer for layer, _ in senders), default=0)
        mlps = _mlps(range(first, max(layer for layer, _ in receivers)))
        names |= _edges(
            [*(_outputs(senders) or [_INPUT]), *mlps], [*_inputs(receivers, letters), *mlps]
        )
    for movers in _NAME_MOVERS:
        names |= _edges(_outputs(_IOI_HEADS[movers]), [_OUTPUT])
    return names


def _greater_than_edge_names() -> set[str]:
    # Hanna et al. 2023, in groups as by Conmy et al. 2023.
    first_heads: Heads = ((0, 3), (0, 5))
    first_head_to_mlps: Heads = ((0, 1),)
    middle_heads: Heads = ((5, 5), (6, 1), (6, 9), (7, 10), (8, 11), (9, 1))
    early, late = _mlps(range(4)), _mlps(range(8, 12))
    last_layer = max(layer for layer, _ in middle_heads)
    before_middle = _mlps(range(last_layer))
    heads = (*first_heads, *first_head_to_mlps)

    names = _edges([_INPUT], [*_inputs(heads), *early])
    names |= _edges(_outputs(first_head_to_mlps), early)
    names |= _edges([*_outputs(heads), *early], _inputs(middle_heads))
    names |= _edges(_outputs(middle_heads), late)
    names |= _edges([*_outputs(middle_heads), *late], [_OUTPUT])
    for mlps in (early, late, before_middle):
        names |= _edges(mlps, mlps)
    # The paper leaves the queries of the middle heads as they are. What makes them is too much to
    # be listed: the MLPs stand for it.
    names |= _edges(before_middle, _inputs(middle_heads, "Q"))
    return names


def _docstring_edge_names() -> set[str]:
    # Heimersheim & Janiak 2023; heads 3.0 and 3.6 move the answer to the end.
    answer: Heads = ((3, 0), (3, 6))
    names = _edges([_INPUT], _inputs([(0, 5), (1, 4)], "V"))
    names |= _edges(["A0.5"], _inputs([(1, 4)], "V"))
    names |= _edges([_INPUT, "A0.5"], _inputs([(1, 2), (2, 0)], "QK"))
    names |= _edges(["A1.4"], _inputs([(2, 0)], "V"))
    names |= _edges(["A1.4"], _inputs(answer, "Q"))
    names |= _edges(["A1.2", "A2.0"], _inputs(answer, "K"))
    names |= _edges([_INPUT, "A0.5"], _inputs(answer, "V"))
    return names | _edges(_outputs(answer), [_OUTPUT])


_GPT2_SMALL = (("gpt2", "gpt2-small"), 32_491)

CIRCUITS: Mapping[str, Circuit] = {
    "ioi": Circuit(*_GPT2_SMALL, _ioi_edge_names),
    "greater-than": Circuit(*_GPT2_SMALL, _greater_than_edge_names),
    "docstring": Circuit(
        ("attn-only-4l", "Attn_Only_4L512W_C4_Code"), 1_281, _docstring_edge_names
    ),
}
"""By the name of the task."""

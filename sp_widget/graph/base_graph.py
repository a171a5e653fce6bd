"""What the graph of edges and the graph of nodes share: names, and where each value lies.

Names, orders and mask layouts are those of auto-circuit, so that its scores stay readable:
sources in the order in which they write to the residual stream, one mask tensor per
destination module. See "Transformer Circuit Metrics are not Robust" (arXiv 2407.08734).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.errors import ArgumentError


@dataclass(frozen=True, repr=False)
class Node:
    """A node of the graph: it writes to the residual stream or reads from it."""

    name: str
    """Such as `A3.1` (head 1 of block 3), `A3.1.Q`, `MLP 3`, `Resid Start`, `Resid End`."""
    module_name: str
    """The hook point of the bridge where the node's value can be seen."""
    layer: int
    """Depth: attention and MLP count one each, a parallel block counts one for both."""
    head_idx: int | None = None
    """Index of the head within the module, `None` where the module is one node."""

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, repr=False)
class SrcNode(Node):
    """A node that writes to the residual stream."""

    src_idx: int = 0
    """Position among all sources, in writing order."""


@dataclass(frozen=True, repr=False)
class DestNode(Node):
    """A node that reads from the residual stream."""

    min_src_idx: int = 0
    """`src_idx` of its first incoming source: 0 in the factorized graph."""


class HasPatchMasks(Protocol):
    """A patchable model, as far as its edges know it."""

    patch_masks: dict[str, Tensor]


@dataclass(frozen=True, repr=False)
class Edge:
    """What a destination reads from one source, at one token position or at all of them."""

    src: SrcNode
    dest: DestNode
    seq_idx: int | None = None
    """Token position, `None` for an edge that stands for all positions."""

    @property
    def name(self) -> str:
        """`{source}->{destination}`, without the position."""
        return f"{self.src.name}->{self.dest.name}"

    @property
    def patch_idx(self) -> tuple[int, ...]:
        """Index of the edge in the mask or score tensor of its destination module."""
        seq = () if self.seq_idx is None else (self.seq_idx,)
        head = () if self.dest.head_idx is None else (self.dest.head_idx,)
        return (*seq, *head, self.src.src_idx - self.dest.min_src_idx)

    def prune_score(self, prune_scores: Mapping[str, Tensor]) -> Tensor:
        """Return the score of this edge, a tensor without dimensions.

        Raises `ArgumentError` for scores that do not have this edge.
        """
        return self._of_its_module(prune_scores, "prune_scores", prune_scores)[self.patch_idx]

    def patch_mask(self, model: HasPatchMasks) -> Tensor:
        """Return the mask tensor of its destination module; `[edge.patch_idx]` is the edge's.

        Raises `ArgumentError` for a model that does not have this edge.
        """
        return self._of_its_module(getattr(model, "patch_masks", None), "model", model)

    def _of_its_module(self, tensors: object, argument: str, given: object) -> Tensor:
        found = tensors.get(self.dest.module_name) if isinstance(tensors, Mapping) else None
        place = self.patch_idx
        if (
            not isinstance(found, Tensor)
            or found.dim() != len(place)
            or any(index >= size for index, size in zip(place, found.shape, strict=True))
        ):
            kind = "a patchable model" if argument == "model" else "scores of a model"
            raise ArgumentError(argument, f"{kind} that has the edge {self!r}", type(given))
        return found

    def __repr__(self) -> str:
        return self.name if self.seq_idx is None else f"{self.seq_idx}:{self.name}"


@dataclass(frozen=True)
class BlockShape:
    """What the graph must know of one transformer block."""

    n_heads: int
    n_kv_heads: int
    has_mlp: bool = True
    parallel: bool = False
    """Attention and MLP read the same residual stream."""
    heads_are_sources: bool = True
    """`False` where a norm after attention mixes the heads: the block `A{l}` is one source."""


@dataclass(frozen=True)
class DestModule:
    """The destinations that share one mask tensor."""

    name: str
    rows: range
    """Their positions among all destinations."""
    srcs: range
    """The sources that they read."""
    has_heads: bool

    @property
    def n_sources(self) -> int:
        """How many sources each of them reads."""
        return len(self.srcs)

    def mask_shape(self, seq_len: int | None) -> tuple[int, ...]:
        """`[seq,] [heads,] sources`."""
        seq = () if seq_len is None else (seq_len,)
        heads = (len(self.rows),) if self.has_heads else ()
        return (*seq, *heads, self.n_sources)


class Feed(NamedTuple):
    """Sources that a destination helps to compute."""

    srcs: range
    moves: bool
    """Whether attention carries what the destination reads to other token positions."""


class BaseGraph:
    """Nodes and edges of a model, and the layout of its masks.

    The masks of all edges are one flat vector, module by module in the order of `modules`.
    """

    from_input: range
    """The sources that are computed from the prompt without passing a destination."""

    def __init__(self, seq_len: int | None) -> None:
        self.seq_len = seq_len
        self.srcs: list[SrcNode] = []
        self.dests: list[DestNode] = []
        self.modules: list[DestModule] = []
        self.feeds: list[list[Feed]] = []
        """What each destination helps to compute; nothing for `Resid End`, the last one."""

    def _add_attention_srcs(self, index: int, shape: BlockShape, layer: int) -> range:
        """Add what the attention of a block writes: a source a head, or one for all of them."""
        if not shape.heads_are_sources:
            return self._add_srcs(f"blocks.{index}.hook_attn_out", [f"A{index}"], layer)
        heads = [f"A{index}.{head}" for head in range(shape.n_heads)]
        return self._add_srcs(f"blocks.{index}.attn.hook_result", heads, layer, heads=True)

    def _add_mlp_src(self, index: int, layer: int) -> range:
        """Add what the MLP of a block writes."""
        return self._add_srcs(f"blocks.{index}.hook_mlp_out", [f"MLP {index}"], layer)

    def _add_srcs(self, module: str, names: list[str], layer: int, heads: bool = False) -> range:
        first = len(self.srcs)
        self.srcs += [
            SrcNode(name, module, layer, head if heads else None, src_idx=first + head)
            for head, name in enumerate(names)
        ]
        return range(first, len(self.srcs))

    def _add_dests(
        self, module: str, names: list[str], layer: int, srcs: range, heads: bool = False
    ) -> range:
        first = len(self.dests)
        self.dests += [
            DestNode(name, module, layer, head if heads else None, min_src_idx=srcs.start)
            for head, name in enumerate(names)
        ]
        rows = range(first, len(self.dests))
        self.modules.append(DestModule(module, rows, srcs, heads))
        return rows

    @property
    def end_row(self) -> int:
        """Where `Resid End` stands among all destinations."""
        return len(self.dests) - 1

    def check_prompts(self, seq: int) -> None:
        """Refuse prompts of another length than that whose token positions have their own edges.

        Raises `ArgumentError`.
        """
        if self.seq_len not in (None, seq):
            raise ArgumentError("seq_len", f"prompts of {self.seq_len} tokens", seq)

    @property
    def n_positions(self) -> int:
        """How many token positions have edges of their own: 1 where edges stand for all."""
        return 1 if self.seq_len is None else self.seq_len

    @cached_property
    def _sizes(self) -> list[int]:
        """Edges of each module, every token position counted where it has its own."""
        return [self.n_positions * len(m.rows) * m.n_sources for m in self.modules]

    @cached_property
    def _starts(self) -> list[int]:
        """Where each module's edges begin in the flat vector of all edges."""
        return list(accumulate(self._sizes, initial=0))[:-1]

    @cached_property
    def n_edges(self) -> int:
        """Edges, every token position counted where it has its own."""
        return sum(self._sizes)

    @cached_property
    def edge_dict(self) -> dict[int | None, list[Edge]]:
        """Edges by token position (the one key is `None` where edges stand for all)."""
        positions = [None] if self.seq_len is None else list(range(self.seq_len))
        return {seq_idx: list(self._edges_at(seq_idx)) for seq_idx in positions}

    def _edges_at(self, seq_idx: int | None) -> Iterator[Edge]:
        for module in self.modules:
            for row in module.rows:
                for src in self.srcs[module.srcs.start : module.srcs.stop]:
                    yield Edge(src, self.dests[row], seq_idx)

    @cached_property
    def edges(self) -> set[Edge]:
        """All edges."""
        return {edge for edges in self.edge_dict.values() for edge in edges}

    def flat_index(self, edges: Iterable[Edge]) -> Tensor:
        """Positions of the given edges in a flat vector of all edges.

        Raises `ArgumentError` for an edge of another graph.
        """
        by_name = {m.name: (start, m) for start, m in zip(self._starts, self.modules, strict=True)}
        places = []
        for edge in edges:
            found = by_name.get(edge.dest.module_name)
            if found is None or not self._holds(edge, found[1]):
                raise ArgumentError("edges", "edges of this model", str(edge))
            start, module = found
            place = edge.seq_idx or 0
            place = place * len(module.rows) + (edge.dest.head_idx or 0)
            place = place * module.n_sources + edge.src.src_idx - module.srcs.start
            places.append(start + place)
        return torch.tensor(places, dtype=torch.long)

    def _holds(self, edge: Edge, module: DestModule) -> bool:
        """Whether the edge is one of this graph's; quicker than looking it up in all edges."""
        n_heads, head, src_idx = len(module.rows), edge.dest.head_idx or 0, edge.src.src_idx
        return (
            edge.seq_idx in ((None,) if self.seq_len is None else range(self.seq_len))
            and head in range(n_heads)
            and src_idx in module.srcs
            and edge.dest == self.dests[module.rows[head]]
            and edge.src == self.srcs[src_idx]
        )

    def edges_at(self, places: Iterable[int]) -> list[Edge]:
        """The edges at these positions of a flat vector of all edges."""
        found = []
        for place in places:
            index = bisect_right(self._starts, place) - 1
            module = self.modules[index]
            rest, src = divmod(place - self._starts[index], module.n_sources)
            position, row = divmod(rest, len(module.rows))
            seq_idx = None if self.seq_len is None else position
            found.append(Edge(self.srcs[module.srcs[src]], self.dests[module.rows[row]], seq_idx))
        return found

    def split(self, flat: Float[Tensor, "*n edges"]) -> dict[str, Tensor]:
        """Views of flat vectors, one per destination module: `[*n, *its mask shape]`."""
        parts = flat.split(self._sizes, dim=-1)
        return {
            m.name: part.view(*flat.shape[:-1], *m.mask_shape(self.seq_len))
            for m, part in zip(self.modules, parts, strict=True)
        }

    def flatten(self, masks: dict[str, Tensor]) -> Float[Tensor, " edges"]:
        """The inverse of `split`, for one vector."""
        return torch.cat([masks[m.name].reshape(-1) for m in self.modules])

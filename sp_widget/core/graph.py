"""The factorized graph: sources, destinations and the edges between them.

Names, orders and mask layouts are those of auto-circuit, so that its scores stay readable:
sources in the order in which they write to the residual stream, one mask tensor per
destination module. See "Transformer Circuit Metrics are not Robust" (arXiv 2407.08734).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
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
    """`src_idx` of its first incoming source (always 0 in the factorized graph)."""


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

    def prune_score(self, prune_scores: dict[str, Tensor]) -> Tensor:
        """The score of this edge, a tensor without dimensions."""
        return prune_scores[self.dest.module_name][self.patch_idx]

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
    n_sources: int
    """They read from the first `n_sources` sources."""
    has_heads: bool

    def mask_shape(self, seq_len: int | None) -> tuple[int, ...]:
        """`[seq,] [heads,] sources`."""
        seq = () if seq_len is None else (seq_len,)
        heads = (len(self.rows),) if self.has_heads else ()
        return (*seq, *heads, self.n_sources)


@dataclass(frozen=True)
class BlockSpan:
    """Where one block's nodes stand among all sources and destinations."""

    attn_rows: range
    mlp_row: int | None
    attn_srcs: range
    mlp_src: int | None
    n_sources: int
    """Sources written before the block: what its attention reads."""

    @property
    def rows(self) -> range:
        """All destinations of the block: those of attention, then the MLP."""
        return range(self.attn_rows.start, self.attn_rows.stop + (self.mlp_row is not None))


class Graph:
    """All nodes and edges of a model, and the layout of its masks.

    The masks of all edges are one flat vector, module by module in the order of `modules`;
    `to_dense` places them in a `destinations x sources` matrix.
    """

    def __init__(
        self, blocks: Sequence[BlockShape], separate_qkv: bool = True, seq_len: int | None = None
    ) -> None:
        self.separate_qkv = separate_qkv
        self.seq_len = seq_len
        self.srcs: list[SrcNode] = [SrcNode("Resid Start", "blocks.0.hook_resid_pre", 0)]
        self.dests: list[DestNode] = []
        self.modules: list[DestModule] = []
        self.spans: list[BlockSpan] = []
        layer = 0
        for index, shape in enumerate(blocks):
            layer = self._add_block(index, shape, layer)
        self._add_dests(f"blocks.{len(blocks) - 1}.hook_resid_post", ["Resid End"], layer + 1)
        self.end_row = len(self.dests) - 1

    def _add_block(self, index: int, shape: BlockShape, layer: int) -> int:
        """Add the nodes of one block; returns the layer of its last node."""
        prefix, n_sources = f"blocks.{index}", len(self.srcs)
        heads = [f"A{index}.{head}" for head in range(shape.n_heads)]
        kv_heads = [f"A{index}.{head}" for head in range(shape.n_kv_heads)]
        attn_layer = layer + 1
        mlp_layer = attn_layer if shape.parallel or not shape.has_mlp else attn_layer + 1

        first_row = len(self.dests)
        if self.separate_qkv:
            for letter, names in (("Q", heads), ("K", kv_heads), ("V", kv_heads)):
                module = f"{prefix}.hook_{letter.lower()}_input"
                self._add_dests(module, [f"{n}.{letter}" for n in names], attn_layer, heads=True)
        else:
            self._add_dests(f"{prefix}.hook_attn_in", heads, attn_layer, heads=True)
        attn_rows = range(first_row, len(self.dests))

        if shape.heads_are_sources:
            self._add_srcs(f"{prefix}.attn.hook_result", heads, attn_layer, heads=True)
        else:
            self._add_srcs(f"{prefix}.hook_attn_out", [f"A{index}"], attn_layer)
        attn_srcs = range(n_sources, len(self.srcs))

        mlp_row = mlp_src = None
        if shape.has_mlp:
            mlp_row, mlp_src = len(self.dests), len(self.srcs)
            self._add_dests(
                f"{prefix}.hook_mlp_in",
                [f"MLP {index}"],
                mlp_layer,
                n_sources=n_sources if shape.parallel else mlp_src,
            )
            self._add_srcs(f"{prefix}.hook_mlp_out", [f"MLP {index}"], mlp_layer)
        self.spans.append(BlockSpan(attn_rows, mlp_row, attn_srcs, mlp_src, n_sources))
        return mlp_layer

    def _add_srcs(self, module: str, names: list[str], layer: int, heads: bool = False) -> None:
        for head, name in enumerate(names):
            self.srcs.append(
                SrcNode(name, module, layer, head if heads else None, src_idx=len(self.srcs))
            )

    def _add_dests(
        self,
        module: str,
        names: list[str],
        layer: int,
        heads: bool = False,
        n_sources: int | None = None,
    ) -> None:
        rows = range(len(self.dests), len(self.dests) + len(names))
        self.dests += [
            DestNode(name, module, layer, head if heads else None)
            for head, name in enumerate(names)
        ]
        n_sources = len(self.srcs) if n_sources is None else n_sources
        self.modules.append(DestModule(module, rows, n_sources, heads))

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
                for src in self.srcs[: module.n_sources]:
                    yield Edge(src, self.dests[row], seq_idx)

    @cached_property
    def edges(self) -> set[Edge]:
        """All edges."""
        return {edge for edges in self.edge_dict.values() for edge in edges}

    @cached_property
    def _dense_index(self) -> Tensor:
        """Position of every flat mask value in `[positions, destinations, sources]`."""
        n_dests, n_srcs = len(self.dests), len(self.srcs)
        places = torch.arange(self.n_positions * n_dests * n_srcs)
        places = places.view(self.n_positions, n_dests, n_srcs)
        return torch.cat(
            [places[:, m.rows.start : m.rows.stop, : m.n_sources].flatten() for m in self.modules]
        )

    def to_dense(self, flat: Tensor) -> Tensor:
        """`[n, edges]` flat values to `[n, positions, destinations, sources]`, zero elsewhere."""
        shape = (flat.shape[0], self.n_positions, len(self.dests), len(self.srcs))
        dense = flat.new_zeros(shape[0], shape[1] * shape[2] * shape[3])
        index = self._dense_index.to(flat.device)
        return dense.index_copy(1, index, flat).view(shape)

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
            places.append(start + place * module.n_sources + edge.src.src_idx)
        return torch.tensor(places, dtype=torch.long)

    def _holds(self, edge: Edge, module: DestModule) -> bool:
        """Whether the edge is one of this graph's; quicker than looking it up in all edges."""
        n_heads, head, src_idx = len(module.rows), edge.dest.head_idx or 0, edge.src.src_idx
        return (
            edge.seq_idx in ((None,) if self.seq_len is None else range(self.seq_len))
            and head in range(n_heads)
            and src_idx in range(module.n_sources)
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
            found.append(Edge(self.srcs[src], self.dests[module.rows[row]], seq_idx))
        return found

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of a flat vector `[edges]`, one per destination module in its mask shape."""
        parts = flat.split(self._sizes)
        return {
            m.name: part.view(m.mask_shape(self.seq_len))
            for m, part in zip(self.modules, parts, strict=True)
        }

    def flatten(self, masks: dict[str, Tensor]) -> Tensor:
        """The inverse of `split`."""
        return torch.cat([masks[m.name].reshape(-1) for m in self.modules])

"""The factorized graph: every head and MLP reads every source before it, each by an edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sp_widget.graph.base_graph import BaseGraph, Feed

# The vocabulary of both graphs, to be had where most of its users look for it.
from sp_widget.graph.base_graph import BlockShape as BlockShape
from sp_widget.graph.base_graph import DestNode as DestNode
from sp_widget.graph.base_graph import Edge as Edge
from sp_widget.graph.base_graph import Node as Node
from sp_widget.graph.base_graph import SrcNode as SrcNode


@dataclass(frozen=True)
class BlockSpan:
    """Where one block's nodes stand among all sources and destinations."""

    attn_rows: range
    mlp_row: int | None
    attn_srcs: range
    mlp_src: int | None
    n_sources: int
    """Sources written before the block: what its attention reads."""

    @cached_property
    def rows(self) -> range:
        """All destinations of the block: those of attention, then the MLP."""
        return range(self.attn_rows.start, self.attn_rows.stop + (self.mlp_row is not None))


class Graph(BaseGraph):
    """All nodes and edges of a model."""

    def __init__(
        self, blocks: Sequence[BlockShape], separate_qkv: bool = True, seq_len: int | None = None
    ) -> None:
        super().__init__(seq_len)
        self.separate_qkv = separate_qkv
        self.from_input = self._add_srcs("blocks.0.hook_resid_pre", ["Resid Start"], 0)
        self.spans: list[BlockSpan] = []
        layer = 0
        for index, shape in enumerate(blocks):
            layer = self._add_block(index, shape, layer)
        end, reads = f"blocks.{len(blocks) - 1}.hook_resid_post", range(len(self.srcs))
        self._add_dests(end, ["Resid End"], layer + 1, reads)
        self.feeds.append([])

    def _add_block(self, index: int, shape: BlockShape, layer: int) -> int:
        """Add the nodes of one block; returns the layer of its last node."""
        before = range(len(self.srcs))
        attn_layer = layer + 1
        attn_srcs = self._add_attention_srcs(index, shape, attn_layer)
        attn_rows = self._add_attention_dests(index, shape, attn_layer, before, attn_srcs)
        if not shape.has_mlp:
            self.spans.append(BlockSpan(attn_rows, None, attn_srcs, None, len(before)))
            return attn_layer

        layer = attn_layer if shape.parallel else attn_layer + 1
        reads = before if shape.parallel else range(len(self.srcs))
        mlp_srcs = self._add_mlp_src(index, layer)
        mlp_rows = self._add_dests(f"blocks.{index}.hook_mlp_in", [f"MLP {index}"], layer, reads)
        self.feeds.append([Feed(mlp_srcs, moves=False)])
        span = BlockSpan(attn_rows, mlp_rows.start, attn_srcs, mlp_srcs.start, len(before))
        self.spans.append(span)
        return layer

    def _add_attention_dests(
        self, index: int, shape: BlockShape, layer: int, reads: range, writes: range
    ) -> range:
        """Add what the heads of a block read.

        The queries of a head compute that head; keys and values compute all heads that share
        them; where a block's attention is one source, every head computes that.
        """
        inputs = [("hook_attn_in", "", shape.n_heads)]
        if self.separate_qkv:
            counts = (shape.n_heads, shape.n_kv_heads, shape.n_kv_heads)
            inputs = [
                (f"hook_{letter.lower()}_input", f".{letter}", n)
                for letter, n in zip("QKV", counts, strict=True)
            ]
        first_row = len(self.dests)
        for hook, suffix, n_heads in inputs:
            names = [f"A{index}.{head}{suffix}" for head in range(n_heads)]
            self._add_dests(f"blocks.{index}.{hook}", names, layer, reads, heads=True)
            for head in range(n_heads):
                group = len(writes) // n_heads
                own = writes[head * group : (head + 1) * group] if len(writes) > 1 else writes
                self.feeds.append([Feed(own, moves=suffix != ".Q")])
        return range(first_row, len(self.dests))

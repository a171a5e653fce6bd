"""The graph of residual-stream nodes: a stream is read once, by the next stream, not by each head.

Nodes, their order and their layers are those that auto-circuit has for `factorized=False`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sp_widget.graph.base_graph import BaseGraph, BlockShape, DestModule, Feed


class _Stream(NamedTuple):
    name: str
    module: str


class NodeGraph(BaseGraph):
    """The residual stream before and behind each sublayer, and what the sublayer adds to it.

    The sources of a sublayer are the stream that enters it (`Resid Start`, `Resid Mid 3`,
    `Resid Post 3`) and what it writes (heads `A3.1`, or `MLP 3`). Its one destination is the
    stream behind it. Attention and MLP are a sublayer each; where they read the same stream, in
    a parallel block, they are one together.
    """

    def __init__(self, blocks: Sequence[BlockShape], seq_len: int | None = None) -> None:
        super().__init__(seq_len)
        self.blocks: list[list[DestModule]] = []
        """The streams behind the sublayers of each block."""
        stream = _Stream("Resid Start", "blocks.0.hook_resid_pre")
        for index, shape in enumerate(blocks):
            first = len(self.modules)
            end = "Resid End" if index == len(blocks) - 1 else f"Resid Post {index}"
            post = _Stream(end, f"blocks.{index}.hook_resid_post")
            if shape.has_mlp and not shape.parallel:
                mid = _Stream(f"Resid Mid {index}", f"blocks.{index}.hook_resid_mid")
                self._add_sublayer(index, shape, stream, mid, attends=True, has_mlp=False)
                self._add_sublayer(index, shape, mid, post, attends=False, has_mlp=True)
            else:
                self._add_sublayer(index, shape, stream, post, True, shape.has_mlp)
            self.blocks.append(self.modules[first:])
            stream = post
        # A stream helps to compute what the sublayer behind it reads and writes.
        self.feeds = [*self.feeds[1:], []]
        self.from_input = self.modules[0].srcs

    def _add_sublayer(
        self,
        index: int,
        shape: BlockShape,
        entering: _Stream,
        behind: _Stream,
        attends: bool,
        has_mlp: bool,
    ) -> None:
        layer = len(self.modules)
        stream = self._add_srcs(entering.module, [entering.name], layer)
        feeds = [Feed(stream, moves=False)]
        if attends:
            feeds.append(Feed(self._add_attention_srcs(index, shape, layer), moves=True))
        if has_mlp:
            feeds.append(Feed(self._add_mlp_src(index, layer), moves=False))
        self.feeds.append(feeds)
        reads = range(stream.start, len(self.srcs))
        self._add_dests(behind.module, [behind.name], layer + 1, reads)

"""What a patched run reads, what it works in, and what it leaves for its backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.core.architecture import RunInputs

Positions = slice


@dataclass(frozen=True)
class Patch:
    """Patch activations, and the streams that they alone would make."""

    sources: Float[Tensor, "sources batch seq d_model"]
    """a_s. `batch` may be 1 where all prompts share their patch activations."""
    bases: Float[Tensor, "reads batch seq d_model"]
    """base_d: two for each block (attention, MLP), then `Resid End`."""


class Workspace:
    """Buffers of one run, kept from step to step: nothing this large is made anew.

    Those of the backward pass come into being with the first one.
    """

    def __init__(
        self,
        embed: Tensor,
        n_sources: int,
        block_rows: Sequence[int],
        chunk_rows: int,
        keeps_all: bool,
    ) -> None:
        """`block_rows`: how many streams each block reads. `chunk_rows`: how many the blocks
        read that go backward together. `keeps_all`: keep every block's streams until then, not
        only those of the block at work."""
        self.keeps_all = keeps_all
        self.diff: Float[Tensor, "sources batch seq d_model"] = embed.new_empty(
            n_sources, *embed.shape
        )
        """D_s of every source."""
        kept = block_rows if keeps_all else [max(block_rows)]
        self._streams = [embed.new_empty(n, *embed.shape) for n in kept]
        self._chunk_rows = chunk_rows

    def streams(self, block: int, n_rows: int) -> Float[Tensor, "rows batch seq d_model"]:
        """x_d of a block's attention rows, and of its MLP in the last row."""
        return self._streams[block if self.keeps_all else 0][:n_rows]

    @cached_property
    def grad(self) -> Float[Tensor, "sources batch seq d_model"]:
        """Gradients of what the sources write."""
        return torch.empty_like(self.diff)

    @cached_property
    def grad_streams(self) -> Float[Tensor, "chunk_rows batch seq d_model"]:
        """Gradients of the streams of one chunk of blocks."""
        return self.diff.new_empty(self._chunk_rows, *self.diff.shape[1:])


@dataclass(frozen=True)
class BlockTape:
    """What the backward pass of one block needs of its forward pass."""

    streams: Float[Tensor, "rows batch seq d_model"]
    saved: tuple[Tensor, ...]
    """Of the projection."""
    projected: Float[Tensor, "rows tokens d_out"]
    """Queries, keys and values: where the graph of attention starts."""
    mixed: Tensor
    """What attention wrote, before its output projection: where that graph ends."""
    mlp_in: Float[Tensor, "batch seq d_model"] | None = None
    mlp_out: Float[Tensor, "batch seq d_model"] | None = None


@dataclass(frozen=True)
class Tape:
    """A patched run, as its backward pass needs it."""

    space: Workspace
    keep: Float[Tensor, "groups dests sources"]
    inputs: RunInputs
    patch: Patch
    positions: Positions
    blocks: list[BlockTape]
    """Empty where blocks are computed again instead; emptied by the backward pass."""
    end: tuple[Tensor, Tensor]
    """Stream that `Resid End` reads, logits."""

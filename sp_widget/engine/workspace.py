"""The buffers of a patched run."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.models.scratch import Scratch

_PADDING = 64
"""Elements between two rows of a buffer. Rows that lie a multiple of 4,096 bytes apart share
their places in the processor's caches: products with the masks took a third longer."""


def padded_rows(n_rows: int, like: Tensor) -> Float[Tensor, "n_rows batch seq d_model"]:
    """An empty buffer of `n_rows` tensors like this one."""
    buffer = like.new_empty(n_rows, like.numel() + _PADDING)
    return buffer[:, : like.numel()].view(n_rows, *like.shape)


def by_group(rows: Float[Tensor, "n batch seq d_model"], groups: int) -> Tensor:
    """A view `[groups, n, the rest]` of rows of a buffer, for a product with each group's masks."""
    return rows.view(len(rows), groups, -1).transpose(0, 1)


class Workspace:
    """Buffers of one run, kept from step to step: nothing this large is made anew."""

    def __init__(
        self,
        embed: Tensor,
        n_bases: int,
        n_sources: int,
        n_streams: int,
        n_grad: int,
        n_scratch: int,
        graph: bool,
    ) -> None:
        """`n_bases`: blocks that go together. `n_streams`: what all blocks read, in a run with a
        backward pass (`graph`); else what those that go together read. `n_grad`: sources whose
        gradients are at work at once. `n_scratch`: destinations or heads of a block, at most."""
        self.graph = graph
        self.rows = padded_rows(n_bases + n_sources, embed)
        """What the streams are made of: the bases of the blocks at work, and every D_s."""
        self.bases, self.diff = self.rows[:n_bases], self.rows[n_bases:]
        self.bases.zero_()  # Fewer blocks may be at work: 0 times what memory held is not always 0.
        self._streams = padded_rows(n_streams, embed)
        self._first_row = 0
        self.grad = padded_rows(n_grad, embed)
        """Gradients of what the sources write."""
        self._scratch: dict[torch.device, Scratch] = {}
        self._n_scratch, self._row = n_scratch, self.rows[0]

    def of_sources(self, weights: Float[Tensor, "groups dests bases+sources"]) -> Tensor:
        """Without those of the bases."""
        return weights[:, :, len(self.bases) :]

    def start_at(self, row: int) -> None:
        """Streams before this one are needed no longer, unless for a backward pass."""
        if not self.graph:
            self._first_row = row

    def streams(self, rows: range) -> Float[Tensor, "rows batch seq d_model"]:
        """x_d of these destinations; in the backward pass, their gradients take their place."""
        start = rows.start - self._first_row
        return self._streams[start : start + len(rows)]

    def scratch(self, device: torch.device) -> Scratch:
        """Room for some rows on a device."""
        if device not in self._scratch:
            self._scratch[device] = Scratch(self._row, device, self._n_scratch)
        return self._scratch[device]

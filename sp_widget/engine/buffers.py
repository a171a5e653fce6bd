"""The memory of a patched run, kept from step to step, and matrix products in it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

_PADDING = 64
"""Elements between two rows of a buffer. Rows that lie a multiple of 4,096 bytes apart share
their places in the processor's caches: products with the masks took a third longer."""

_CACHE_BYTES = 4 * 2**20
"""What a CPU finds again in its caches. Measured: half and three times as much are slower."""

_NARROWEST = 512
"""Columns of a tile of a product: with fewer, the masks are fetched too often."""

_WORTH_A_TILE = 60
"""Terms of a sum: with fewer, the copy costs more than the product gains."""

_EACH_THREAD = 4
"""Groups that a thread works at in one tile: more of them make narrower tiles."""


class Buffers:
    """Buffers of one run, kept from step to step: nothing this large is made anew.

    A backward pass overwrites every stream with its gradient, so that `streams` and `stream_grads`
    are one buffer. Which of the two it holds of a destination is up to the run.
    """

    def __init__(
        self,
        embed: Float[Tensor, "batch seq d_model"],
        *,
        bases: int,
        sources: int,
        streams: int,
        source_grads: int,
        scratch: int,
        backward: bool,
    ) -> None:
        """Make room for so many residual streams of each sort.

        `bases`: blocks that go together. `streams`: what all blocks read, in a run with a
        `backward` pass; else what those that go together read. `source_grads`: sources that go
        backward together. `scratch`: destinations or heads of a block, at most.
        """
        self.backward = backward
        self.read = padded_rows(bases + sources, embed)
        """What streams are made of: the bases of the blocks at work, and every D_s."""
        self.bases, self.diff = self.read[:bases], self.read[bases:]
        self.bases.zero_()  # Fewer blocks may be at work: 0 times what memory held is not always 0.
        self._streams = padded_rows(streams, embed)
        self._first_row = 0
        self.source_grads = padded_rows(source_grads, embed)
        """Gradients of what the sources of the blocks at work write."""
        self._scratch: dict[torch.device, Tensor] = {}
        self._scratch_rows = scratch

    def start_at(self, row: int) -> None:
        """Let go of the streams before this one, unless a backward pass needs them."""
        if not self.backward:
            self._first_row = row

    def streams(self, rows: range) -> Float[Tensor, "rows batch seq d_model"]:
        """Return x_d of these destinations."""
        start = rows.start - self._first_row
        return self._streams[start : start + len(rows)]

    stream_grads = streams
    """x_d' of destinations that have gone backward."""

    def scratch(self, device: torch.device) -> Float[Tensor, " numbers"]:
        """Return room on a device for results that are read at once and then overwritten."""
        if device not in self._scratch:
            like = self.read[0]
            size = scratch_size(like, device, self._scratch_rows)
            self._scratch[device] = like.new_empty(size, device=device)
        return self._scratch[device]


def padded_rows(n_rows: int, like: Tensor) -> Float[Tensor, "n_rows batch seq d_model"]:
    """Return an empty buffer of `n_rows` tensors like this one."""
    buffer = like.new_empty(n_rows, like.numel() + _PADDING)
    return buffer[:, : like.numel()].view(n_rows, *like.shape)


def by_group(rows: Float[Tensor, "n batch seq d_model"], groups: int) -> Tensor:
    """Return rows of a buffer as `[groups, n, the rest]`, for a product with each group's masks."""
    return rows.view(len(rows), groups, -1).transpose(0, 1)


def scratch_size(like: Tensor, device: torch.device, n_rows: int) -> int:
    """Return how many numbers to have for `n_rows` tensors like this one: on a CPU no more than its
    caches hold, but one tensor at least."""
    if device.type == "cpu":
        n_rows = max(1, min(n_rows, _CACHE_BYTES // like.nbytes))
    return n_rows * like.numel()


def pieces(n: int, at_most: int) -> Iterator[slice]:
    """Yield slices of `range(n)`, one after the other."""
    for start in range(0, n, at_most):
        yield slice(start, min(start + at_most, n))


def multiply(
    left: Float[Tensor, "groups rows n"],
    right: Float[Tensor, "groups n columns"],
    out: Float[Tensor, "groups rows columns"],
    scratch: Float[Tensor, " numbers"],
    *,
    add: bool,
) -> None:
    """Write `left @ right` to `out`, or add it.

    On a CPU torch gives every thread whole products of its own only if their result is
    contiguous, which rows of a buffer are not. Made in `scratch` a tile at a time, and copied
    while it is still in the cache, a large product takes a fifth less time.
    """
    groups, rows, columns = out.shape
    if out.device.type != "cpu" or groups == 1 or left.shape[-1] < _WORTH_A_TILE:
        out.baddbmm_(left, right, beta=int(add))
        return
    fitting = len(scratch) // rows
    together = min(groups, _EACH_THREAD * torch.get_num_threads())
    width = min(columns, max(fitting // together // 16 * 16, min(fitting, _NARROWEST)))
    for at in pieces(columns, width):
        for some in pieces(groups, fitting // width):
            tile = out[some, :, at]
            product = scratch[: tile.numel()].view(tile.shape)
            torch.bmm(left[some], right[some, :, at], out=product)
            if add:
                tile.add_(product)
            else:
                tile.copy_(product)

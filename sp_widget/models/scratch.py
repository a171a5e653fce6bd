"""Room for results that are read at once and then overwritten."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_CPU_BYTES = 4 * 2**20
"""What a CPU finds again in its caches. Measured: half and three times as much are slower."""


class Scratch:
    """A buffer that takes many shapes, one after the other."""

    def __init__(self, like: Tensor, device: torch.device, n_rows: int) -> None:
        """See `scratch_size`."""
        self.size = scratch_size(like, device, n_rows)
        self._flat = like.new_empty(self.size, device=device)

    def view(self, shape: torch.Size) -> Tensor:
        """The buffer in this shape, with whatever it holds."""
        return self._flat[: math.prod(shape)].view(shape)


def scratch_size(like: Tensor, device: torch.device, n_rows: int) -> int:
    """Numbers in a buffer for `n_rows` tensors like this one; on a CPU no more than its caches
    hold, but for one tensor at least."""
    if device.type == "cpu":
        n_rows = max(1, min(n_rows, _CPU_BYTES // like.nbytes))
    return n_rows * like.numel()


def pieces(n: int, at_most: int) -> Iterator[slice]:
    """Slices of `range(n)`, one after the other."""
    for start in range(0, n, at_most):
        yield slice(start, min(start + at_most, n))

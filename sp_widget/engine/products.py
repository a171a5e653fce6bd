"""Products with the masks: of each group of tokens that shares its mask values."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.models.scratch import Scratch, pieces

_NARROWEST = 512
"""Columns of a tile: with fewer, the masks are fetched too often."""

_WORTH_A_TILE = 60
"""Terms of a sum: with fewer, the copy costs more than the product gains."""

_EACH_THREAD = 4
"""Groups that a thread works at in one tile: more of them make narrower tiles."""


def multiply(
    left: Float[Tensor, "groups rows n"],
    right: Float[Tensor, "groups n columns"],
    out: Float[Tensor, "groups rows columns"],
    scratch: Scratch,
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
    fitting = scratch.size // rows
    together = min(groups, _EACH_THREAD * torch.get_num_threads())
    width = min(columns, max(fitting // together // 16 * 16, min(fitting, _NARROWEST)))
    for at in pieces(columns, width):
        for some in pieces(groups, fitting // width):
            tile = out[some, :, at]
            product = scratch.view(tile.shape)
            torch.bmm(left[some], right[some, :, at], out=product)
            if add:
                tile.add_(product)
            else:
                tile.copy_(product)

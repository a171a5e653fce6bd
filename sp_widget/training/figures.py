"""From tensors on the model's device to Python numbers."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor


def read_figures(**figures: Tensor) -> dict[str, float]:
    """The figures `[]` as numbers, by their names.

    They travel together: reading one from a GPU waits for all that was asked of it before.
    """
    values = list(figures.values())
    dtype = reduce(torch.promote_types, (value.dtype for value in values))
    together = torch.stack([value.detach().to(dtype) for value in values])
    return dict(zip(figures, together.tolist(), strict=True))


def in_full_precision(logits: Tensor) -> Tensor:
    """Logits of a model in half precision as float32: a loss sums over thousands of them."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))

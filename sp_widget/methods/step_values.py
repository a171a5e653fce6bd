"""From tensors on the model's device to Python numbers."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor


class Figures:
    """Figures `[]` on their way from the device, by their names.

    They travel together, and nothing waits for them until they are read: reading one from a GPU
    waits for all that was asked of it before.
    """

    def __init__(self, **figures: Tensor) -> None:
        values = list(figures.values())
        dtype = reduce(torch.promote_types, (value.dtype for value in values))
        together = torch.stack([value.detach().to(dtype) for value in values])
        self._names = list(figures)
        self._values = together.to("cpu", non_blocking=together.is_cuda)
        self._arrived = torch.cuda.Event() if together.is_cuda else None
        if self._arrived is not None:
            self._arrived.record()

    def read(self) -> dict[str, float]:
        """The figures as numbers, as soon as they are there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return dict(zip(self._names, self._values.tolist(), strict=True))

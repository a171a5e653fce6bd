"""Notices when a model is changed after its nodes were read.

The projections of attention are folded with their norms once, into tensors of our own; all other
weights are those of the model. A weight that changes afterwards would be half used. What torch
counts (versions, addresses) is cheap enough to be compared before every run. A change through
`.data` is not counted; it shows in the numbers alone, which are compared before a training, when
it ends, and from time to time.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from sp_widget.errors import ModelChangedError
from sp_widget.models.own_copy import plain_name

_SHARE_OF_TIME = 1 / 500
"""Of a long training, for comparing the numbers."""


class _Weight(NamedTuple):
    name: str
    owner: dict[str, Tensor | None]
    """The parameters of its module."""
    key: str
    tensor: Tensor
    version: int | None
    address: int


class Unchanged:
    """Remembers a model as it is now."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = _modules(model)
        self._weights = [
            _Weight(
                plain_name(f"{path}.{key}"),
                module._parameters,
                key,
                tensor,
                _version(tensor),
                tensor.data_ptr(),
            )
            for path, module in model.named_modules()
            for key, tensor in module._parameters.items()
            if tensor is not None
        ]
        started = time.monotonic()
        self._digests = self._digest()
        self._compared = time.monotonic()
        self._cost = self._compared - started

    def check(self) -> None:
        """Raise `ModelChangedError` when a weight was written to, moved or replaced.

        Microseconds; now and then the numbers are compared, too.
        """
        self._refuse(self._written_or_replaced())
        if time.monotonic() - self._compared > self._cost / _SHARE_OF_TIME:
            self.check_numbers()

    def check_numbers(self) -> None:
        """Raise `ModelChangedError` when any module or any number of any weight has changed."""
        if _modules(self._model) != self._modules:
            raise ModelChangedError(["its modules"])
        self._refuse(self._written_or_replaced())
        started = time.monotonic()
        now = self._digest()
        self._compared = time.monotonic()
        self._cost = self._compared - started
        differ = (now != self._digests).tolist()
        self._refuse([w.name for w, differs in zip(self._weights, differ, strict=True) if differs])

    def _written_or_replaced(self) -> list[str]:
        # Before every run: hence no function of our own for each weight.
        return [
            name
            for name, owner, key, tensor, version, address in self._weights
            if owner.get(key) is not tensor
            or (version is not None and tensor._version != version)
            or tensor.data_ptr() != address
        ]

    @staticmethod
    def _refuse(changed: list[str]) -> None:
        if changed:
            raise ModelChangedError(changed)

    def _digest(self) -> Int[Tensor, " weights"]:
        # Tied weights are read once.
        tensors = {id(weight.tensor): weight.tensor for weight in self._weights}
        digests = {key: _digest(tensor) for key, tensor in tensors.items()}
        return torch.stack([digests[id(weight.tensor)].cpu() for weight in self._weights])


def _modules(model: nn.Module) -> list[int]:
    return [id(module) for module in model.modules()]


def _version(tensor: Tensor) -> int | None:
    """How often the tensor was written to, where torch counts it."""
    return None if tensor.is_inference() else tensor._version


@torch.no_grad()
def _digest(tensor: Tensor) -> Int[Tensor, ""]:
    """A whole number that differs when any number of the tensor does, or their places.

    Sums of bits over rows and over columns, each with a weight of its own; they wrap, and so are
    exact in whatever order they are added up.
    """
    bits = tensor.detach()
    if bits.is_complex():
        bits = torch.view_as_real(bits)
    if bits.dtype.is_floating_point:
        whole = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        bits = bits.view(whole[bits.element_size()])
    dtype = torch.int64 if bits.element_size() == 8 else torch.int32
    if bits.dim() < 2:
        bits = bits.reshape(1, -1)
    total = bits.new_zeros((), dtype=torch.int64)
    for dim, odd in ((-1, 2), (0, 1_000_003)):
        sums = bits.sum(dim, dtype=dtype).flatten().long()
        places = torch.arange(1, 1 + sums.numel(), device=sums.device)
        total += (sums * (places * odd + 1)).sum()
    return total

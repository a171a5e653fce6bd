"""Patch activations, prepared for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Positions: TypeAlias = slice

ALL_POSITIONS: Positions = slice(None)


@dataclass(frozen=True)
class Patch:
    """Patch activations, and the streams that they alone would make."""

    sources: Float[Tensor, "sources batch seq d_model"]
    """a_s. `batch` may be 1 where all prompts share their patch activations."""
    bases: Float[Tensor, "reads batch seq d_model"]
    """base_d: two for each block (attention, MLP), then `Resid End`."""

    def write_difference(
        self,
        srcs: slice,
        values: Float[Tensor, "srcs batch positions d_model"],
        out: Float[Tensor, "srcs batch positions d_model"],
        positions: Positions = ALL_POSITIONS,
    ) -> None:
        """`values - a_s`. The batch may be that of the patch several times, one after the other."""
        patched = self.sources[srcs][:, :, positions].unsqueeze(1)
        runs = (-1, patched.shape[2])
        torch.sub(values.unflatten(1, runs), patched, out=out.unflatten(1, runs))

    def base(self, index: int | slice, batch: int) -> Float[Tensor, "... batch seq d_model"]:
        """Bases, for a batch of so many prompts."""
        bases = self.bases[index]
        return bases.repeat(*[1] * (bases.dim() - 3), batch // bases.shape[-3], 1, 1)

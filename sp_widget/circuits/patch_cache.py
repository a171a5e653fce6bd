"""Where the patch activations of a dataset wait between the steps that use them.

They are the largest thing that belongs to a batch: one residual stream for every source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch

from sp_widget.engine.protocol import Patch

CacheMode: TypeAlias = Literal["auto", "device", "host", "recompute"]
"""`device`: beside the model. `host`: in main memory, copied for each step. `recompute`: nowhere,
made anew for each step by a plain run. `auto`: the first of these that leaves half of the
memory free."""

CACHE_MODES: tuple[str, ...] = get_args(CacheMode)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds but does not use can be used again.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    import psutil

    return int(psutil.virtual_memory().available)


def patch_bytes(patch: Patch) -> int:
    """Bytes that a patch takes."""
    # A mean over the dataset is one row, seen from every prompt.
    sources = patch.sources.untyped_storage().nbytes()
    return sources + patch.bases.untyped_storage().nbytes()


def choose_mode(mode: CacheMode, n_bytes: int, device: torch.device) -> CacheMode:
    """The mode that `auto` stands for, when all patches together take `n_bytes`."""
    if mode != "auto":
        return mode
    if n_bytes <= free_memory(device) / 2:
        return "device"
    host = torch.device("cpu")
    if device.type != "cpu" and n_bytes <= free_memory(host) / 2:
        return "host"
    return "recompute"


def store(patch: Patch, mode: CacheMode, make: Callable[[], Patch]) -> Callable[[], Patch]:
    """A function that gives the patch back on its device."""
    if mode == "recompute":
        return make
    if mode == "device" or patch.sources.device.type == "cpu":
        return lambda: patch
    device = patch.sources.device
    # Pinned memory lets the copy run beside the computation.
    sources, bases = patch.sources.cpu().pin_memory(), patch.bases.cpu().pin_memory()
    return lambda: Patch(sources.to(device, non_blocking=True), bases.to(device, non_blocking=True))

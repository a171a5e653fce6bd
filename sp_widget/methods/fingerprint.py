"""What a run was made with, in a few letters: graph, weights and prompts.

A checkpoint goes on exactly only with the same ones. Equal things have equal fingerprints, on every
device; different things have different ones but for a chance of 2⁻⁶⁴.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from sp_widget.data.prompts import PromptDataLoader, PromptPairBatch
from sp_widget.engine.patchable_model import PatchableModel

_NUMBERS_OF_A_WEIGHT = 4096
"""Numbers of each weight that are looked at, evenly spread: a training moves nearly all of them,
and to read all would take longer than many a run."""


def fingerprint_of_graph(model: PatchableModel) -> str:
    """Return a fingerprint of the edges: their names and their order."""
    graph = model.graph
    return _digest(
        f"{module.name} {module.mask_shape(graph.seq_len)} "
        f"{graph.dests[module.rows.start : module.rows.stop]} "
        f"{graph.srcs[module.srcs.start : module.srcs.stop]}"
        for module in graph.modules
    )


def fingerprint_of_weights(model: PatchableModel) -> str:
    """Return a fingerprint of the weights, of at most 4,096 numbers of each."""
    return _digest(_some_of(weight) for _, weight in model.wrapped_model.named_parameters())


def fingerprint_of_prompts(dataloader: PromptDataLoader | None) -> str:
    """Return a fingerprint of all batches: prompts, padding, answers, prefix, in order."""
    if dataloader is None:
        return "none"
    return _digest(part for batch in dataloader for part in _parts_of(batch))


def _parts_of(batch: PromptPairBatch) -> Iterator[str | bytes]:
    for field in fields(batch):
        yield field.name
        yield from _bytes_of(getattr(batch, field.name))


def _some_of(weight: Tensor) -> bytes:
    flat = weight.detach().flatten()
    stride = max(1, flat.numel() // _NUMBERS_OF_A_WEIGHT)
    return next(_bytes_of(flat[::stride]))


def _bytes_of(value: Any) -> Iterator[bytes]:
    if isinstance(value, Tensor):
        here = value.detach().cpu().contiguous()
        yield (
            str((here.dtype, tuple(here.shape))).encode()
            + here.view(-1).view(torch.uint8).numpy().tobytes()
        )
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _bytes_of(each)


def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        # With its length: ("ab", "c") is not ("a", "bc").
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()

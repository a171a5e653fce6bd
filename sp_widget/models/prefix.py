"""Prompts that all begin with the same tokens: the shared prefix runs once, not in every step.

A causal model computes at a token from that token and those before it, so the prefix has the
same activations in every prompt, clean or corrupt. Patching its tokens with each other would
change nothing; what later tokens need of it are its keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from sp_widget.errors import UnsupportedModelError
from sp_widget.models.nodes import AttentionInputs, Block, Rotary


def behind_prefix(
    blocks: Sequence[Block],
    streams: Sequence[Float[Tensor, "batch prefix+seq d_model"]],
    attention: Sequence[AttentionInputs],
    n_prefix: int,
) -> tuple[AttentionInputs, ...]:
    """What attention needs at the tokens behind the prefix, from a run over whole prompts.

    `streams`: what entered each block. Raises `UnsupportedModelError` where a token of the
    prefix sees later ones.
    """
    if any(not given.blocked[:, :, :n_prefix, n_prefix:].all() for given in attention):
        raise UnsupportedModelError(
            "prompts cannot share a prefix in this model: its tokens see those behind them, so "
            "that the prefix differs from prompt to prompt. Load whole prompts "
            "(tail_divergence=False)."
        )
    return tuple(
        AttentionInputs(
            given.blocked[:, :, n_prefix:],
            _rotary(given.rotary, slice(n_prefix, None)),
            block.attention.keys_and_values(
                stream[:1, :n_prefix], _rotary(given.rotary, slice(n_prefix), slice(1))
            ),
        )
        for block, stream, given in zip(blocks, streams, attention, strict=True)
    )


def _rotary(rotary: Rotary | None, positions: slice, prompts: slice = slice(None)) -> Rotary | None:
    if rotary is None:
        return None
    cos, sin = (table[prompts, :, positions] for table in (rotary.cos, rotary.sin))
    return replace(rotary, cos=cos, sin=sin)

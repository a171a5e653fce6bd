"""What a bridge feeds to its blocks: captured from one forward pass of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sp_widget.models.nodes import AttentionInputs, Rotary, RotaryPairing


class Calls:
    """The arguments of a forward pass."""

    def __init__(self, n_blocks: int) -> None:
        self.streams: list[Tensor] = []
        """The residual stream that entered each block."""
        self.attention: list[dict[str, Any]] = [{} for _ in range(n_blocks)]
        """The keyword arguments of each attention layer."""


@contextmanager
def captured_calls(bridge: Any) -> Iterator[Calls]:
    """What every block and every attention layer is called with, while the context is open.

    By its own hooks: for a model that nobody else runs meanwhile.
    """
    calls = Calls(len(bridge.blocks))
    handles = []

    def keep_stream(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.streams.append(args[0] if args else kwargs["hidden_states"])

    def keeper(index: int) -> Callable[..., None]:
        def keep(_module: nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.attention[index] = dict(kwargs)

        return keep

    try:
        for index, block in enumerate(bridge.blocks):
            handles.append(block.register_forward_pre_hook(keep_stream, with_kwargs=True))
            hook = keeper(index)
            handles.append(block.attn.register_forward_pre_hook(hook, with_kwargs=True))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def attention_inputs(
    bridge: Any, calls: Calls, pairing: RotaryPairing | None
) -> tuple[AttentionInputs, ...]:
    """Mask and rotary embedding of each block; blocks that were given the same share them."""
    seq = calls.streams[0].shape[1]
    masks: dict[tuple[Any, ...], Tensor] = {}
    tables: dict[int, Rotary | None] = {}
    inputs = []
    for call, block in zip(calls.attention, bridge.blocks, strict=True):
        original = block.attn.original_component
        own = getattr(original, "bias", None)
        own = own if isinstance(own, Tensor) and own.dtype == torch.bool else None
        mask = call.get("attention_mask")
        window = None if own is None else getattr(original, "attention_type", None)
        mask_key = (id(mask), window)
        if mask_key not in masks:
            causal = bool(getattr(original, "causal", True))
            masks[mask_key] = _blocked(mask, own, causal, seq, calls.streams[0].device)
        table_key = id(call.get("position_embeddings"))
        if table_key not in tables:
            tables[table_key] = None if pairing is None else _rotary(call, original, pairing)
        inputs.append(AttentionInputs(masks[mask_key], tables[table_key]))
    return tuple(inputs)


def _blocked(
    mask: Tensor | None, own: Tensor | None, causal: bool, seq: int, device: torch.device
) -> Tensor:
    """Which keys each query must not see, from whatever form of mask the layer was given."""
    blocked = torch.zeros(1, 1, seq, seq, dtype=torch.bool, device=device)
    if causal:
        blocked = torch.ones_like(blocked).triu(1)
    if own is not None:  # the layer's own table of keys that may be seen (local attention)
        blocked = blocked | ~own[:, :, :seq, :seq].to(device)
    if mask is None:
        return blocked
    if mask.dim() == 2:  # 1 for a token, 0 for padding
        return blocked | ~mask.bool()[:, None, None, :]
    mask = mask[..., :seq, :seq]
    # Boolean: True for a key that may be seen. Else added to the scores: 0, or a huge negative.
    given = ~mask if mask.dtype == torch.bool else mask < -1
    return given if own is None else blocked | given


def _rotary(call: dict[str, Any], original: Any, pairing: RotaryPairing) -> Rotary | None:
    embeddings = call.get("position_embeddings")
    if embeddings is not None:
        cos, sin = (table.unsqueeze(1) for table in embeddings)
        return Rotary(cos, sin, pairing)
    positions: Any = call.get("position_ids")
    if hasattr(original, "rotary") and original.rotary is not None:  # TransformerLens' own
        tables = original.rotary
        cos, sin = tables.cos_cached[positions], tables.sin_cached[positions]
    elif hasattr(original, "embed_positions"):  # GPT-J: sines, then cosines, one a pair
        table = original.embed_positions.to(positions.device)[positions]
        sin, cos = (half.repeat_interleave(2, dim=-1) for half in table.chunk(2, dim=-1))
    else:
        return None
    return Rotary(cos.unsqueeze(1), sin.unsqueeze(1), pairing)

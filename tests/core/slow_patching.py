"""Edge patching one edge at a time, straight from its definition.

Every destination d reads x_d = r_d + sum_s m_ds (a_s - c_s). Here r_d, c_s and everything that a
node computes come from the bridge's own modules, and the sum is a loop over edges: slow, and
without any code of the engine. Differentiable in the masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sp_widget.core.graph import Edge

EdgeMasks = dict[Edge, Tensor]
"""Each edge's mask value for each prompt, `[batch]`."""
Sources = dict[str, Tensor]
"""Source name to what it writes, `[batch, seq, d_model]`."""


class SlowRun:
    """One run of a bridge, patched edge by edge (or, without masks, not at all)."""

    def __init__(
        self, bridge: Any, masks: EdgeMasks | None = None, patch: Sources | None = None
    ) -> None:
        self.bridge, self.cfg = bridge, bridge.cfg
        self.written: Sources = {}
        self._patch = patch or {}
        self._incoming: dict[str, list[tuple[Edge, Tensor]]] = {}
        for edge, value in (masks or {}).items():
            self._incoming.setdefault(edge.dest.name, []).append((edge, value))

    def logits(self, tokens: Tensor) -> Tensor:
        if self.cfg.architecture == "TransformerLensNative":
            return self._run_native(tokens)
        return self._run_with_hooks(tokens)

    def _read(self, dest: str, stream: Tensor) -> Tensor:
        """What a destination reads, given the ordinary stream at its place."""
        patched = stream
        for edge, value in self._incoming.get(dest, []):
            difference = self._patch[edge.src.name] - self.written[edge.src.name]
            change = value[:, None, None] * difference
            if edge.seq_idx is not None:
                here = torch.zeros_like(change)
                here[:, edge.seq_idx] = 1
                change = change * here
            patched = patched + change
        return patched

    def _row(self, layer: int, head: int, letter: str) -> str:
        """The destination that a head's queries, keys or values read."""
        name = f"A{layer}.{head}"
        separate = any(dest.endswith(".Q") for dest in self._incoming)
        return f"{name}.{letter}" if separate else name

    # --- Hugging Face models: the bridge's own hooks show and change every node -----------------

    def _run_with_hooks(self, tokens: Tensor) -> Tensor:
        bridge, last = self.bridge, self.cfg.n_layers - 1
        joint = self._row(0, 0, "Q") == "A0.0"
        hooks = [("blocks.0.hook_in", self._keep("Resid Start"))]
        for layer in range(self.cfg.n_layers):
            block = f"blocks.{layer}"
            if joint:
                hooks.append((f"{block}.attn.hook_attn_in", self._patch_heads(layer, "")))
            else:
                hooks += [
                    (f"{block}.attn.hook_{letter.lower()}_input", self._patch_heads(layer, letter))
                    for letter in "QKV"
                ]
            hooks += [
                (f"{block}.attn.hook_result", self._keep_heads(layer)),
                (f"{block}.hook_mlp_in", self._patch_one(f"MLP {layer}")),
                (f"{block}.mlp.hook_out", self._keep(f"MLP {layer}")),
            ]
        hooks.append((f"blocks.{last}.hook_out", self._patch_one("Resid End")))
        with _flags(bridge, joint):
            return bridge.run_with_hooks(tokens, fwd_hooks=hooks)

    def _keep(self, name: str) -> Callable[..., Tensor]:
        def keep(value: Tensor, hook: Any) -> Tensor:
            self.written[name] = value
            return value

        return keep

    def _keep_heads(self, layer: int) -> Callable[..., Tensor]:
        def keep(value: Tensor, hook: Any) -> Tensor:
            for head in range(value.shape[2]):
                self.written[f"A{layer}.{head}"] = value[:, :, head]
            return value

        return keep

    def _patch_one(self, dest: str) -> Callable[..., Tensor]:
        return lambda value, hook: self._read(dest, value)

    def _patch_heads(self, layer: int, letter: str) -> Callable[..., Tensor]:
        def patch(value: Tensor, hook: Any) -> Tensor:
            rows = [
                self._read(self._row(layer, head, letter), value[:, :, head])
                for head in range(value.shape[2])
            ]
            return torch.stack(rows, dim=2)

        return patch

    # --- native models: their attention is one module, run once for each head -------------------

    def _run_native(self, tokens: Tensor) -> Tensor:
        self.bridge.run_with_hooks(
            tokens, fwd_hooks=[("blocks.0.hook_in", self._keep("Resid Start"))]
        )
        resid = self.written["Resid Start"]
        for layer, block in enumerate(self.bridge.blocks):
            attention = block.attn.original_component
            before = resid
            for head in range(self.cfg.n_heads):
                result = self._native_head(layer, head, block, attention, before)
                self.written[f"A{layer}.{head}"] = result
                resid = resid + result
            resid = resid + attention.o.bias
            if not self.cfg.attn_only:
                read = self._read(f"MLP {layer}", resid)
                self.written[f"MLP {layer}"] = block.mlp(block.ln2(read))
                resid = resid + self.written[f"MLP {layer}"]
        logits = self.bridge.unembed(self.bridge.ln_final(self._read("Resid End", resid)))
        cap = self.cfg.output_logits_soft_cap
        return cap * torch.tanh(logits / cap) if cap > 0 else logits

    def _native_head(
        self, layer: int, head: int, block: Any, attention: Any, resid: Tensor
    ) -> Tensor:
        """What one head writes: the whole attention with all other heads' output left out."""
        separate = self._row(0, 0, "Q") != "A0.0"
        kv_head = head // (self.cfg.n_heads // attention.n_kv_heads) if separate else head
        reads = {
            letter: block.ln1(self._read(self._row(layer, row, letter), resid))
            for letter, row in (("Q", head), ("K", kv_head), ("V", kv_head))
        }

        def replace(letter: str) -> Callable[..., tuple[Tensor]]:
            return lambda _module, _args: (reads[letter],)

        def only_this_head(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
            own = torch.zeros_like(args[0])
            own[..., head * self.cfg.d_head : (head + 1) * self.cfg.d_head] = 1
            return (args[0] * own,)

        handles = [
            getattr(attention, letter.lower()).register_forward_pre_hook(replace(letter))
            for letter in "QKV"
        ]
        handles.append(attention.o.register_forward_pre_hook(only_this_head))
        try:
            positions = torch.arange(resid.shape[1]).expand(resid.shape[0], -1)
            out, _ = attention(resid, position_ids=positions)
        finally:
            for handle in handles:
                handle.remove()
        return out - attention.o.bias


@contextmanager
def _flags(bridge: Any, joint: bool) -> Iterator[None]:
    """Switch on the bridge's hooks of heads, and off again."""
    bridge.set_use_attn_result(True)
    bridge.set_use_hook_mlp_in(True)
    set_reads = bridge.set_use_attn_in if joint else bridge.set_use_split_qkv_input
    set_reads(True)
    try:
        yield
    finally:
        set_reads(False)
        bridge.set_use_hook_mlp_in(False)
        bridge.set_use_attn_result(False)

"""Edge patching of a HookedTransformer one edge at a time, by its own hook points.

The same definition as in `tests/engine/slow_patching.py`, whose loop over edges this uses; what
the nodes read, compute and write comes from the model's forward pass with all hooks it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tests.engine.slow_patching import SlowRun

_FLAGS = {"use_split_qkv_input": True, "use_attn_result": True, "use_hook_mlp_in": True}


class SlowHookedRun(SlowRun):
    """One run of a HookedTransformer, patched edge by edge (or, without masks, not at all)."""

    def logits(self, tokens: Tensor) -> Tensor:
        hooks = [("blocks.0.hook_resid_pre", self._keep("Resid Start"))]
        for layer in range(self.bridge.cfg.n_layers):
            hooks += self._of_block(layer)
        last = f"blocks.{self.bridge.cfg.n_layers - 1}.hook_resid_post"
        hooks.append((last, lambda x, hook: self.read("Resid End", x)))
        flags = {**_FLAGS}
        if self.joint:  # Every query head has keys and values of its own.
            flags["ungroup_grouped_query_attention"] = True
        with _flags(self.bridge.cfg, flags):
            logits: Tensor = self.bridge.run_with_hooks(tokens, fwd_hooks=hooks)
        return logits

    def _of_block(self, layer: int) -> list[tuple[str, Any]]:
        cfg, at = self.bridge.cfg, f"blocks.{layer}"
        hooks = [(f"{at}.hook_{c.lower()}_input", self._read_heads(layer, c)) for c in "QKV"]
        normed = cfg.use_normalization_before_and_after or cfg.original_architecture is not None
        if normed:  # What is added to the stream is the norm of the heads' sum.
            hooks.append((f"{at}.hook_attn_out", self._keep(f"A{layer}")))
        else:
            hooks.append((f"{at}.attn.hook_result", self._keep_heads(layer)))
        if not cfg.attn_only:
            mlp = f"MLP {layer}"
            hooks.append((f"{at}.hook_mlp_in", lambda x, hook: self.read(mlp, x)))
            hooks.append((f"{at}.hook_mlp_out", self._keep(mlp)))
        return hooks

    def _read_heads(self, layer: int, letter: str) -> Any:
        def change(x: Tensor, hook: Any) -> Tensor:  # [batch, seq, heads, d_model]
            rows = [
                self.read(self.row(layer, head, letter), x[:, :, head])
                for head in range(x.shape[2])
            ]
            return torch.stack(rows, dim=2)

        return change

    def _keep(self, name: str) -> Any:
        def keep(x: Tensor, hook: Any) -> None:
            self.written[name] = x

        return keep

    def _keep_heads(self, layer: int) -> Any:
        def keep(x: Tensor, hook: Any) -> None:
            for head in range(x.shape[2]):
                self.written[f"A{layer}.{head}"] = x[:, :, head]

        return keep


@contextmanager
def _flags(cfg: Any, flags: dict[str, bool]) -> Iterator[None]:
    before = {name: getattr(cfg, name) for name in flags}
    for name, value in flags.items():
        setattr(cfg, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(cfg, name, value)

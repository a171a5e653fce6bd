"""Patching of residual-stream nodes one edge at a time, straight from its definition.

Behind a sublayer that reads the stream r and adds its output y to it, the stream r + y is replaced
by r + y + sum_s m_s (a_s - c_s). The bridge adds r itself, so hooks on its modules replace y: all
that comes behind reads the new stream. Slow, and without any code of the engine.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.engine.slow_patching import SlowBlock, SlowRun


class SlowNodeRun(SlowRun):
    """One run of a bridge, patched node by node (or, without masks, not at all)."""

    def logits(self, tokens: Tensor) -> Tensor:
        n_blocks = len(self.bridge.blocks)
        try:
            for layer, block in enumerate(self.bridge.blocks):
                _NodeBlock(self, layer, block, last=layer == n_blocks - 1).add_hooks()
            logits: Tensor = self.bridge(tokens)
        finally:
            for handle in self._handles:
                handle.remove()
        return logits


class _NodeBlock(SlowBlock):
    """The hooks of one block."""

    def __init__(self, run: SlowRun, layer: int, block: Any, last: bool) -> None:
        super().__init__(run, layer, block)
        self.post = "Resid End" if last else f"Resid Post {layer}"
        self.has_mlp = "mlp" in self.parts
        self.parallel = bool(getattr(run.bridge.cfg, "parallel_attn_mlp", False))

    def add_hooks(self) -> None:
        run = self.run
        run.before(self.block, self._enter)
        run.before(self.attn.o, self._keep_mixed)
        run.after(self.attn, self._keep_heads)
        norms = {
            name: getattr(self.block, name)
            for name in ("ln1_post", "ln2_post")
            if name in self.parts
        }
        run.after(norms.get("ln1_post", self.attn), self._behind_attention)
        if self.has_mlp:
            # OPT keeps the layers of its MLP in the block itself.
            mlp = getattr(self.block.original_component, "fc2", self.block.mlp)
            run.after(norms.get("ln2_post", mlp), self._behind_mlp)

    def _enter(self, resid: Tensor) -> Tensor:
        self.resid = resid
        self.run.written[f"Resid Post {self.layer - 1}" if self.layer else "Resid Start"] = resid
        return resid

    def _keep_heads(self, _args: Any, _kwargs: Any, _out: Any) -> None:
        """What each head writes, without the bias."""
        with self.run.unhooked():
            bias = self.attn.o(torch.zeros_like(self.mixed))
            for head, part in enumerate(self._split(self.mixed)):
                result = self.attn.o(part) - bias
                self.run.written[f"A{self.layer}.{head}"] = result.view_as(self.resid)

    def _behind_attention(self, _args: Any, _kwargs: Any, out: Any) -> Any:
        first = out[0] if isinstance(out, tuple) else out
        self.run.written[f"A{self.layer}"] = first
        if self.parallel and self.has_mlp:
            return None  # Attention and MLP are one sublayer: the MLP, which comes last, does it.
        dest = f"Resid Mid {self.layer}" if self.has_mlp else self.post
        replaced = self.run.read(dest, first)
        self.run.written[dest] = self.resid + replaced
        return (replaced, *out[1:]) if isinstance(out, tuple) else replaced

    def _behind_mlp(self, _args: Any, _kwargs: Any, out: Tensor) -> Tensor:
        written = self._like_resid(out)
        self.run.written[f"MLP {self.layer}"] = written
        return self.run.read(self.post, written).view_as(out)

"""A TransformerLens bridge as nodes that can be run one by one.

Embeddings, attention masks and rotary tables are not rebuilt here: they are captured from the
model's own forward pass, once for each batch of prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sp_widget.core.capture import attention_inputs, captured_calls
from sp_widget.core.families import family_of
from sp_widget.core.graph import BlockShape
from sp_widget.core.nodes import AttentionInputs
from sp_widget.core.read_block import positive, read_block, read_norm
from sp_widget.errors import ArgumentError, UnsupportedModelError


@dataclass(frozen=True)
class RunInputs:
    """A batch of prompts, ready to enter block 0."""

    embed: Float[Tensor, "batch seq d_model"]
    """The residual stream that enters block 0: the source `Resid Start`."""
    attention: tuple[AttentionInputs, ...]
    """For each block."""


class Architecture:
    """The nodes of a bridge's model, and how to feed them."""

    def __init__(self, bridge: Any, separate_qkv: bool) -> None:
        self.family = family_of(bridge)
        self.bridge = bridge
        self.cfg = bridge.cfg
        self.d_mlp = int(getattr(self.cfg, "d_mlp", None) or 4 * self.cfg.d_model)
        self._refuse_active_dropout()
        self._final_norm = read_norm(self._final_norm_component(), self.cfg)
        self.blocks = tuple(
            read_block(block, self.cfg, self.family, separate_qkv) for block in bridge.blocks
        )
        self.shapes = tuple(
            BlockShape(
                n_heads=block.attention.n_heads,
                n_kv_heads=block.attention.n_kv_heads,
                has_mlp=block.mlp is not None,
                parallel=block.parallel,
                heads_are_sources=block.attention.post_norm is None,
            )
            for block in self.blocks
        )

    def _refuse_active_dropout(self) -> None:
        for name, module in self.bridge.named_modules():
            if isinstance(module, nn.Dropout) and module.training and module.p > 0:
                raise ArgumentError(
                    "model", "a model in evaluation mode (call model.eval())", f"dropout at {name}"
                )

    def _final_norm_component(self) -> Any:
        if self.cfg.architecture != "OPTForCausalLM":
            return self.bridge.ln_final
        # The bridge has no component for OPT's final norm.
        decoder = self.bridge.original_model.model.decoder
        if decoder.final_layer_norm is None or decoder.project_out is not None:
            raise UnsupportedModelError(
                "this OPT model normalises after each layer or projects its embeddings (as "
                "opt-350m does): its residual stream is not a sum of what its nodes write."
            )
        return decoder.final_layer_norm

    def unembed(
        self, resid: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Final norm, unembedding and the logits' soft cap: what `Resid End` computes."""
        logits: Tensor = self.bridge.unembed(self._final_norm(resid))
        cap = positive(getattr(self.cfg, "output_logits_soft_cap", None))
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def run_inputs(
        self,
        tokens: Int[Tensor, "batch seq"],
        attention_mask: Int[Tensor, "batch seq"] | None = None,
    ) -> tuple[RunInputs, Float[Tensor, "batch seq d_vocab"]]:
        """Run the plain model: what enters block 0 and its attention layers, and the logits."""
        with torch.no_grad(), captured_calls(self.bridge) as calls:
            kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
            logits = self.bridge(tokens, **kwargs)
        given = attention_inputs(self.bridge, calls, self.family.rotary)
        return RunInputs(calls.streams[0], given), logits


def tolerance(dtype: torch.dtype) -> float:
    """How far two computations of the same thing may differ, relative to its size."""
    # In a float64 model too some norms and rotary tables are computed in float32.
    return {torch.float64: 1e-6, torch.float32: 1e-4}.get(dtype, 3e-2)


def is_close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree as well as their precision allows."""
    size = max(a.abs().max().item(), b.abs().max().item(), 1.0)
    difference = (a - b).abs().max().item()
    return math.isfinite(difference) and difference <= tolerance(a.dtype) * size

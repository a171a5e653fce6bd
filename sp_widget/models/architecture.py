"""A TransformerLens model as nodes that can be run one by one.

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

from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape
from sp_widget.models.bridge_reader import BridgeReader
from sp_widget.models.capture import captured_calls
from sp_widget.models.hooked_reader import HookedReader, is_hooked_transformer
from sp_widget.models.nodes import AttentionInputs, Unembedding
from sp_widget.models.prefix import behind_prefix
from sp_widget.models.read_block import positive


@dataclass(frozen=True)
class RunInputs:
    """A batch of prompts, ready to enter block 0."""

    embed: Float[Tensor, "batch seq d_model"]
    """The residual stream that enters block 0: the source `Resid Start`."""
    attention: tuple[AttentionInputs, ...]
    """For each block."""

    def repeated(self, times: int) -> RunInputs:
        """The batch so many times, one after the other."""
        # Blocks share masks and tables; so do their repetitions.
        done = {id(given): given.repeated(times) for given in self.attention}
        return RunInputs(
            self.embed.repeat(times, 1, 1), tuple(done[id(given)] for given in self.attention)
        )


class Architecture:
    """The nodes of a bridge or HookedTransformer, and how to feed them."""

    def __init__(self, model: Any, separate_qkv: bool) -> None:
        self._reader = (HookedReader if is_hooked_transformer(model) else BridgeReader)(model)
        self.name = self._reader.name
        self.model = model
        self.cfg = model.cfg
        self.d_mlp = int(getattr(self.cfg, "d_mlp", None) or 4 * self.cfg.d_model)
        self._refuse_active_dropout()
        self.unembed = Unembedding(
            norm=self._reader.final_norm(),
            project=model.unembed,
            soft_cap=positive(getattr(self.cfg, "output_logits_soft_cap", None)),
            device=next(
                (parameter.device for parameter in model.unembed.parameters()), torch.device("cpu")
            ),
        )
        self.blocks = self._reader.blocks(separate_qkv)
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
        for name, module in self.model.named_modules():
            if isinstance(module, nn.Dropout) and module.training and module.p > 0:
                raise ArgumentError(
                    "model", "a model in evaluation mode (call model.eval())", f"dropout at {name}"
                )

    def run_inputs(
        self,
        tokens: Int[Tensor, "batch seq"],
        attention_mask: Int[Tensor, "batch seq"] | None = None,
        prefix: Int[Tensor, " prefix"] | None = None,
    ) -> tuple[RunInputs, Float[Tensor, "batch seq d_vocab"]]:
        """Run the plain model: what enters block 0 and its attention layers, and the logits.

        `prefix`: tokens before those of every prompt; its activations are constants of the run.
        """
        whole = tokens if prefix is None else torch.cat((prefix.expand(len(tokens), -1), tokens), 1)
        with torch.no_grad(), captured_calls(self.model) as calls:
            kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
            logits = self.model(whole, **kwargs)
            given = self._reader.attention_inputs(calls)
            if prefix is None:
                return RunInputs(calls.streams[0], given), logits
            n = len(prefix)
            tail = behind_prefix(self.blocks, calls.streams, given, n)
            return RunInputs(calls.streams[0][:, n:].contiguous(), tail), logits[:, n:]


def tolerance(dtype: torch.dtype) -> float:
    """How far two computations of the same thing may differ, relative to its size."""
    # In a float64 model too some norms and rotary tables are computed in float32.
    return {torch.float64: 1e-6, torch.float32: 1e-4}.get(dtype, 3e-2)


def is_close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree as well as their precision allows."""
    size = max(a.abs().max().item(), b.abs().max().item(), 1.0)
    difference = (a - b).abs().max().item()
    return math.isfinite(difference) and difference <= tolerance(a.dtype) * size

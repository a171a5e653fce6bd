"""A TransformerLens model as nodes that can be run one by one.

Embeddings, attention masks and rotary tables are not rebuilt here: they are captured from the
model's own forward pass, once for each batch of prompts.
"""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sp_widget.data.tails import taken_off
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape
from sp_widget.models.bridge_reader import BridgeReader
from sp_widget.models.capture import Calls, captured_calls
from sp_widget.models.hooked_reader import HookedReader, is_hooked_transformer
from sp_widget.models.nodes import AttentionInputs, Unembedding
from sp_widget.models.own_copy import own_copy
from sp_widget.models.prefix import behind_prefix
from sp_widget.models.read_block import positive
from sp_widget.models.unchanged import Unchanged


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
    """The nodes of a bridge or HookedTransformer, and how to feed them.

    They run on a copy of its modules that shares its weights: hooks on the model itself see none
    of it, and change none of it. `unchanged` watches the weights.
    """

    def __init__(self, model: Any, separate_qkv: bool) -> None:
        reader = HookedReader if is_hooked_transformer(model) else BridgeReader
        reader.refuse_unsupported(model)
        self.model = own_copy(model)
        self.unchanged = Unchanged(model)
        self._one_at_a_time = threading.RLock()
        self._reader = reader(self.model)
        self.name = self._reader.name
        self.cfg = self.model.cfg
        self.d_mlp = int(getattr(self.cfg, "d_mlp", None) or 4 * self.cfg.d_model)
        self._refuse_active_dropout()
        unembed = self.model.unembed
        self.unembed = Unembedding(
            norm=self._reader.final_norm(),
            project=unembed,
            soft_cap=positive(getattr(self.cfg, "output_logits_soft_cap", None)),
            device=next(
                (parameter.device for parameter in unembed.parameters()), torch.device("cpu")
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

    def copy_of_model(self, dtype: torch.dtype) -> Any:
        """Return a copy of the model in another precision, weights and all."""
        with self._one_at_a_time:  # A bridge that is being copied cannot run.
            copied = copy.deepcopy(self.model)
        # The model's own `to` prints.
        nn.Module.to(copied, dtype)
        if is_hooked_transformer(copied):
            # Its norms return what they compute in this type.
            copied.cfg.dtype = dtype
        return copied

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
        Raises `ModelChangedError` when a weight has changed since the nodes were read.
        """
        tokens, prefix = taken_off(tokens, prefix)
        with torch.no_grad():
            calls, logits = self.captured(tokens, attention_mask, prefix)
            given = self._reader.attention_inputs(calls)
            if prefix is None:
                return RunInputs(calls.streams[0], given), logits
            n = len(prefix)
            tail = behind_prefix(self.blocks, calls.streams, given, n)
            return RunInputs(calls.streams[0][:, n:].contiguous(), tail), logits[:, n:]

    def captured(
        self,
        tokens: Int[Tensor, "batch seq"],
        attention_mask: Int[Tensor, "batch seq"] | None = None,
        prefix: Int[Tensor, " prefix"] | None = None,
    ) -> tuple[Calls, Float[Tensor, "batch prefix+seq d_vocab"]]:
        """Run the plain model, prefix and all: what its blocks were called with, and the logits."""
        self.unchanged.check()
        tokens, prefix = taken_off(tokens, prefix)
        if prefix is not None:
            tokens = torch.cat((prefix.expand(len(tokens), -1), tokens), dim=1)
        kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
        # Two threads would capture each other's prompts: a training, and a cell of the notebook.
        with self._one_at_a_time, captured_calls(self.model) as calls:
            return calls, self.model(tokens, **kwargs)


def tolerance(dtype: torch.dtype) -> float:
    """How far two computations of the same thing may differ, relative to its size."""
    # In a float64 model too some norms and rotary tables are computed in float32.
    return {torch.float64: 1e-6, torch.float32: 1e-4}.get(dtype, 3e-2)


def is_close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree as well as their precision allows."""
    size = max(a.abs().max().item(), b.abs().max().item(), 1.0)
    difference = (a - b).abs().max().item()
    return math.isfinite(difference) and difference <= tolerance(a.dtype) * size

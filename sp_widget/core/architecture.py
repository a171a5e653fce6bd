"""Reads a TransformerLens bridge into nodes that can be run one by one.

Embeddings, attention masks and rotary tables are not rebuilt here: they are captured from the
model's own forward pass, once for each batch of prompts.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sp_widget.core.graph import BlockShape
from sp_widget.core.nodes import (
    Attention,
    AttentionInputs,
    Block,
    Norm,
    NormedLinear,
    Rotary,
    RotaryPairing,
)
from sp_widget.errors import ArgumentError, UnsupportedModelError


@dataclass(frozen=True)
class Family:
    """How the models of one architecture differ from the plain pattern."""

    rotary: RotaryPairing | None = None


FAMILIES: dict[str, Family] = {
    "GPT2LMHeadModel": Family(),
    "GPTNeoXForCausalLM": Family(rotary="half"),
    "TransformerLensNative": Family(rotary="adjacent"),
}
"""The supported architectures, by the name in the bridge's configuration."""


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
        self.family = _family(bridge)
        self.bridge = bridge
        self.cfg = bridge.cfg
        self._refuse_active_dropout()
        self._final_norm = _read_norm(self.bridge.ln_final, self.cfg)
        self.blocks = tuple(self._read_block(block, separate_qkv) for block in self.bridge.blocks)
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

    def _read_block(self, block: Any, separate_qkv: bool) -> Block:
        attn, cfg = block.attn, self.cfg
        n_heads = int(cfg.n_heads)
        n_kv_heads = int(getattr(cfg, "n_key_value_heads", None) or n_heads)
        weights = [attn.W_Q, attn.W_K, attn.W_V]
        biases = [attn.b_Q, attn.b_K, attn.b_V]
        if separate_qkv:
            weight = torch.cat(weights)
            bias = None if biases[0] is None else torch.cat(biases)
        else:
            # A head reads one stream for Q, K and V: heads that share a key/value head each
            # make their own from that head's weights.
            spread = [_per_query_head(w, n_heads) for w in weights]
            weight = torch.cat(spread, dim=-1)
            bias = (
                None
                if biases[0] is None
                else torch.cat([_per_query_head(b, n_heads) for b in biases], dim=-1)
            )
        attention = Attention(
            project_in=NormedLinear(_read_norm(block.ln1, cfg), weight, bias),
            joint_rows=not separate_qkv,
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            scale=_attention_scale(attn, cfg),
            w_out=attn.W_O.detach(),
            b_out=None if attn.b_O is None else attn.b_O.detach(),
            soft_cap=_positive(getattr(cfg, "attn_scores_soft_cap", None)),
        )
        return Block(
            attention=attention,
            mlp=None if not hasattr(block, "mlp") else _mlp(block, _read_norm(block.ln2, cfg)),
            parallel=bool(getattr(cfg, "parallel_attn_mlp", False)),
        )

    def unembed(
        self, resid: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Final norm, unembedding and the logits' soft cap: what `Resid End` computes."""
        logits: Tensor = self.bridge.unembed(self._final_norm(resid))
        cap = _positive(getattr(self.cfg, "output_logits_soft_cap", None))
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def run_inputs(
        self,
        tokens: Int[Tensor, "batch seq"],
        attention_mask: Int[Tensor, "batch seq"] | None = None,
    ) -> tuple[RunInputs, Float[Tensor, "batch seq d_vocab"]]:
        """Run the plain model: what enters block 0 and its attention layers, and the logits."""
        with torch.no_grad(), _captured_calls(self.bridge) as calls:
            kwargs = {} if attention_mask is None else {"attention_mask": attention_mask}
            logits = self.bridge(tokens, **kwargs)
        embed = calls.hidden_states
        inputs: list[AttentionInputs] = []
        seen: dict[tuple[int, ...], AttentionInputs] = {}
        for call, block in zip(calls.attention, self.bridge.blocks, strict=True):
            # Blocks that got the same tensors share one object.
            key = tuple(id(call.get(k)) for k in ("attention_mask", "position_embeddings"))
            if key not in seen:
                seen[key] = AttentionInputs(
                    blocked=_blocked(call.get("attention_mask"), block.attn, embed),
                    rotary=self._rotary(call, block.attn),
                )
            inputs.append(seen[key])
        return RunInputs(embed, tuple(inputs)), logits

    def _rotary(self, call: dict[str, Any], attn: Any) -> Rotary | None:
        if self.family.rotary is None:
            return None
        embeddings = call.get("position_embeddings")
        if embeddings is not None:
            cos, sin = (table.unsqueeze(1) for table in embeddings)
            return Rotary(cos, sin, self.family.rotary)
        native = getattr(attn.original_component, "rotary", None)
        if native is None:
            return None
        positions = call["position_ids"]
        return Rotary(
            native.cos_cached[positions].unsqueeze(1),
            native.sin_cached[positions].unsqueeze(1),
            self.family.rotary,
        )


def _family(bridge: Any) -> Family:
    cfg = getattr(bridge, "cfg", None)
    if cfg is None or not hasattr(bridge, "blocks"):
        raise ArgumentError("model", "a TransformerLens TransformerBridge", type(bridge).__name__)
    name = str(getattr(cfg, "architecture", None))
    if name not in FAMILIES:
        raise UnsupportedModelError(
            f"{name} models are not supported: their blocks have not been shown to split into "
            f"the nodes of the factorized graph. Supported: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]


def _per_query_head(x: Tensor, n_heads: int) -> Tensor:
    return x if x.shape[0] == n_heads else x.repeat_interleave(n_heads // x.shape[0], dim=0)


def _positive(value: Any) -> float | None:
    return float(value) if value is not None and value > 0 else None


def _attention_scale(attn: Any, cfg: Any) -> float:
    original = attn.original_component
    if hasattr(original, "causal_mask"):  # TransformerLens' own attention divides by `scale`.
        return 1 / float(original.scale)
    scale = float(getattr(original, "scaling", cfg.d_head**-0.5))
    if getattr(cfg, "scale_attn_by_inverse_layer_idx", False):
        scale = cfg.d_head**-0.5 / (attn._layer_idx + 1)
    return scale


def _mlp(block: Any, norm: Norm) -> Callable[[Tensor], Tensor]:
    def run(resid: Tensor) -> Tensor:
        out: Tensor = block.mlp(norm(resid))
        return out

    return run


def _read_norm(component: Any, cfg: Any) -> Norm:
    original = component.original_component
    if isinstance(original, nn.Identity):
        return Norm("none")
    is_rms = "RMS" in type(original).__name__
    weight = getattr(original, "weight", None)
    eps = getattr(original, "variance_epsilon", getattr(original, "eps", None))
    if eps is None:
        raise UnsupportedModelError(f"the norm {type(original).__name__} has no epsilon")
    if weight is not None and is_rms and getattr(cfg, "rmsnorm_uses_offset", False):
        weight = weight + 1
    return Norm("rms" if is_rms else "layer", weight, getattr(original, "bias", None), float(eps))


def _blocked(mask: Tensor | None, attn: Any, embed: Tensor) -> Tensor:
    """Which keys each query must not see, from whatever form of mask the layer was given."""
    seq = embed.shape[1]
    causal = getattr(attn.original_component, "causal", True)
    blocked = torch.zeros(1, 1, seq, seq, dtype=torch.bool, device=embed.device)
    if causal:
        blocked = torch.ones_like(blocked).triu(1)
    if mask is None:
        return blocked
    if mask.dim() == 2:  # 1 for a token, 0 for padding
        return blocked | ~mask.bool()[:, None, None, :]
    if mask.dtype == torch.bool:  # True for a key that may be seen
        return ~mask[..., :seq, :seq]
    return mask[..., :seq, :seq] < -1  # added to the scores: 0, or a huge negative number


class _Calls:
    def __init__(self, n_blocks: int) -> None:
        self.attention: list[dict[str, Any]] = [{} for _ in range(n_blocks)]
        self.hidden_states: Tensor


@contextmanager
def _captured_calls(bridge: Any) -> Iterator[_Calls]:
    """What block 0 and every attention layer are called with, while the context is open."""
    calls = _Calls(len(bridge.blocks))
    handles = []
    # While a training prepares in the background, a cell of the notebook may run the same model.
    thread = threading.get_ident()

    def keep_stream(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() == thread:
            calls.hidden_states = args[0] if args else kwargs["hidden_states"]

    def keeper(index: int) -> Callable[..., None]:
        def keep(_module: nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == thread:
                calls.attention[index] = dict(kwargs)

        return keep

    try:
        first = bridge.blocks[0]
        handles.append(first.register_forward_pre_hook(keep_stream, with_kwargs=True))
        for index, block in enumerate(bridge.blocks):
            hook = keeper(index)
            handles.append(block.attn.register_forward_pre_hook(hook, with_kwargs=True))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def tolerance(dtype: torch.dtype) -> float:
    """How far two computations of the same thing may be apart, relative to its size."""
    # In a float64 model too some norms compute in float32, so it is no closer than that.
    return {torch.float64: 1e-6, torch.float32: 1e-4}.get(dtype, 3e-2)


def is_close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree within the tolerance of their type times the larger one's size."""
    size = max(a.abs().max().item(), b.abs().max().item(), 1.0)
    difference = (a - b).abs().max().item()
    return math.isfinite(difference) and difference <= tolerance(a.dtype) * size

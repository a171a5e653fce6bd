"""Reads the blocks of a TransformerLens bridge into nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sp_widget.errors import UnsupportedModelError
from sp_widget.models.families import Family
from sp_widget.models.fused_gelu import with_fused_gelu
from sp_widget.models.nodes import Attention, Block, Norm, NormedLinear, normed_mlp


def read_block(block: Any, cfg: Any, family: Family, separate_qkv: bool) -> Block:
    """The nodes of one block of a bridge."""
    parts = block.submodules
    before_attention = _norm_or_none(parts.get("ln1"), cfg)
    parallel = bool(getattr(cfg, "parallel_attn_mlp", False))
    mlp = None
    if "mlp" in parts:
        # Some parallel blocks feed one normed stream to attention and MLP.
        shared = parallel and "ln2" not in parts
        before_mlp = before_attention if shared else _norm_or_none(parts.get("ln2"), cfg)
        mlp = normed_mlp(before_mlp, _mlp(block), _norm_or_none(parts.get("ln2_post"), cfg))
    after_attention = _norm_or_none(parts.get("ln1_post"), cfg)
    attention = _read_attention(
        block.attn, cfg, family, separate_qkv, before_attention, after_attention
    )
    return Block(attention, mlp, parallel)


def _read_attention(
    attn: Any, cfg: Any, family: Family, separate_qkv: bool, before: Norm, after: Norm
) -> Attention:
    n_heads = int(cfg.n_heads)
    weights, biases = [attn.W_Q, attn.W_K, attn.W_V], [attn.b_Q, attn.b_K, attn.b_V]
    return Attention(
        project_in=project_in(before, weights, biases, n_heads, separate_qkv),
        joint_rows=not separate_qkv,
        n_heads=n_heads,
        n_kv_heads=int(attn.W_K.shape[0]),
        scale=_attention_scale(attn, cfg, family),
        w_out=attn.W_O.detach(),
        b_out=None if attn.b_O is None else attn.b_O.detach(),
        soft_cap=positive(getattr(cfg, "attn_scores_soft_cap", None)),
        q_norm=_head_norm(attn, "q_norm", cfg, None if separate_qkv else n_heads),
        k_norm=_head_norm(attn, "k_norm", cfg, None if separate_qkv else n_heads),
        post_norm=None if after.kind == "none" else after,
    )


def project_in(
    before: Norm,
    weights: Sequence[Float[Tensor, "heads d_model d_head"]],
    biases: Sequence[Float[Tensor, "heads d_head"] | None],
    n_heads: int,
    separate_qkv: bool,
) -> NormedLinear:
    """The projections of one attention layer, from those of queries, keys and values."""
    if not separate_qkv:
        # A head reads one stream for Q, K and V: heads that share a key/value head each make
        # their own from that head's weights.
        weights = [_per_query_head(weight, n_heads) for weight in weights]
        biases = [None if bias is None else _per_query_head(bias, n_heads) for bias in biases]
    join = 0 if separate_qkv else -1
    bias = None
    if any(b is not None for b in biases):
        zeros = [w.new_zeros(w.shape[0], w.shape[2]) for w in weights]
        bias = torch.cat(
            [zero if b is None else b for b, zero in zip(biases, zeros, strict=True)], dim=join
        )
    return NormedLinear(before, torch.cat(list(weights), dim=join), bias)


def _per_query_head(x: Tensor, n_heads: int) -> Tensor:
    return x if x.shape[0] == n_heads else x.repeat_interleave(n_heads // x.shape[0], dim=0)


def positive(value: Any) -> float | None:
    """A setting whose value 0 or -1 means that it is off."""
    return float(value) if value is not None and value > 0 else None


def _attention_scale(attn: Any, cfg: Any, family: Family) -> float:
    if family.attention_scale is not None:
        return family.attention_scale
    original = attn.original_component
    if hasattr(original, "causal_mask"):  # TransformerLens' own attention divides by `scale`.
        return 1.0 / float(original.scale)
    if getattr(cfg, "scale_attn_by_inverse_layer_idx", False):
        return float(cfg.d_head**-0.5 / (attn._layer_idx + 1))
    scale: float = getattr(original, "scaling", cfg.d_head**-0.5)
    return scale


def _head_norm(
    attn: Any, name: str, cfg: Any, n_heads: int | None
) -> Callable[[Tensor], Tensor] | None:
    """The norm of queries or keys `[batch, heads, seq, d_head]`.

    `n_heads`: how many heads there are when every query head has keys of its own.
    """
    component = attn.submodules.get(name)
    if component is None or component.original_component is None:
        return None
    return over_heads(read_norm(component, cfg), int(cfg.d_head), n_heads)


def over_heads(norm: Norm, d_head: int, n_heads: int | None) -> Callable[[Tensor], Tensor]:
    """A norm of queries or keys `[batch, heads, seq, d_head]`: of each head, or over all heads.

    `n_heads`: how many heads there are when every query head has keys of its own.
    """
    if norm.weight is None or norm.weight.numel() == d_head:
        return norm
    if n_heads is not None:
        # Keys of every query head: those that share a key/value head are normed alike, and the
        # mean square over all of them is that over the key/value heads.
        weight = _per_query_head(norm.weight.view(-1, d_head), n_heads).flatten()
        norm = replace(norm, weight=weight)

    def over_all_heads(x: Tensor) -> Tensor:
        batch, heads, seq, _ = x.shape
        flat = x.transpose(1, 2).reshape(batch, seq, heads * d_head)
        return norm(flat).view(batch, seq, heads, d_head).transpose(1, 2)

    return over_all_heads


def _mlp(block: Any) -> Callable[[Tensor], Tensor]:
    layer = block.original_component
    if not hasattr(layer, "fc1"):
        return with_fused_gelu(block.mlp)
    # OPT keeps the layers of its MLP in the block itself.

    def opt_mlp(x: Tensor) -> Tensor:
        out: Tensor = layer.fc2(layer.activation_fn(layer.fc1(x)))
        return out.view_as(x)

    return opt_mlp


def _norm_or_none(component: Any, cfg: Any) -> Norm:
    return Norm("none") if component is None else read_norm(component, cfg)


def read_norm(component: Any, cfg: Any) -> Norm:
    """The norm behind a bridge component or a plain module."""
    original = getattr(component, "original_component", component)
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

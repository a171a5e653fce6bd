"""Reads a HookedTransformer, the model class of transformer-lens before version 4.

It is known by its name: version 4 has no such class to import.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sp_widget.errors import UnsupportedModelError
from sp_widget.models.capture import Calls
from sp_widget.models.nodes import Attention, AttentionInputs, Block, Norm, Rotary, normed_mlp
from sp_widget.models.read_block import over_heads, positive, project_in

_POST_NORM = ("Olmo2ForCausalLM", "Olmo3ForCausalLM")
"""Architectures that norm what attention and MLP write, not what they read."""

REFUSED = {
    "shortformer": "its positions are added to queries and keys, not to the residual stream",
    "alibi": "its attention scores have a bias of their own for each head and distance",
    "relative_positional_bias": "its attention scores have a bias of their own for each distance",
    "num_experts": "which experts compute is a choice, through which no gradient reaches the masks",
    "load_in_4bit": "its weights are packed: they cannot be read as matrices",
    "n_devices": "its blocks are spread over several devices",
    "use_attention_sinks": "its attention patterns do not sum to one",
    "clip_qkv": "its queries, keys and values are clipped",
    "use_logn_attn": "its queries are scaled by their position",
}
"""Settings of a HookedTransformer that its nodes do not reproduce, and why."""


def is_hooked_transformer(model: Any) -> bool:
    """Whether this is a HookedTransformer or made from one."""
    return any(kind.__name__ == "HookedTransformer" for kind in type(model).__mro__)


class HookedReader:
    """What an `Architecture` asks of a HookedTransformer."""

    name = "HookedTransformer"

    def __init__(self, model: Any) -> None:
        self._model = model

    @staticmethod
    def refuse_unsupported(model: Any) -> None:
        """Raise `UnsupportedModelError` for a model that cannot be read."""
        _refuse_unsupported(model.cfg)

    def blocks(self, separate_qkv: bool) -> tuple[Block, ...]:
        """The nodes of every block."""
        return tuple(_read_block(block, separate_qkv) for block in self._model.blocks)

    def final_norm(self) -> Norm:
        """The norm before the unembedding."""
        return _read_norm(getattr(self._model, "ln_final", None))

    def attention_inputs(self, calls: Calls) -> tuple[AttentionInputs, ...]:
        """What each attention layer was given in a forward pass."""
        stream = calls.streams[0]
        given: dict[tuple[Any, ...], AttentionInputs] = {}
        inputs = []
        for block, call in zip(self._model.blocks, calls.attention, strict=True):
            attn, mask = block.attn, call.get("attention_mask")
            # Layers of one kind share theirs: local layers may have rotations of their own.
            key = (attn.attn_type, id(mask))
            if key not in given:
                given[key] = AttentionInputs(
                    _blocked(attn, mask, stream), _rotary(attn, mask, stream)
                )
            inputs.append(given[key])
        return tuple(inputs)


def _refuse_unsupported(cfg: Any) -> None:
    found = {cfg.positional_embedding_type}
    found |= {name for name in REFUSED if getattr(cfg, name, None)}
    if cfg.n_devices == 1:
        found.discard("n_devices")
    for name, reason in REFUSED.items():
        if name in found:
            raise UnsupportedModelError(
                f"a HookedTransformer with {name} is not supported: {reason}."
            )


def _read_block(block: Any, separate_qkv: bool) -> Block:
    cfg = block.cfg
    post_norm = getattr(cfg, "original_architecture", None) in _POST_NORM
    none = Norm("none")
    first, second = _read_norm(block.ln1), _read_norm(getattr(block, "ln2", None))
    after_first = first if post_norm else _read_norm(getattr(block, "ln1_post", None))
    after_second = second if post_norm else _read_norm(getattr(block, "ln2_post", None))
    attention = _read_attention(block.attn, none if post_norm else first, after_first, separate_qkv)
    mlp = None
    if not cfg.attn_only:
        mlp = normed_mlp(none if post_norm else second, block.mlp, after_second)
    return Block(attention, mlp, bool(cfg.parallel_attn_mlp))


def _read_attention(attn: Any, before: Norm, after: Norm, separate_qkv: bool) -> Attention:
    cfg, n_heads = attn.cfg, int(attn.cfg.n_heads)
    # With this flag every query head has keys and values of its own, equal within a group.
    grouped = hasattr(attn, "_W_K") and not cfg.ungroup_grouped_query_attention
    w_k, w_v = (attn._W_K, attn._W_V) if grouped else (attn.W_K, attn.W_V)
    b_k, b_v = (attn._b_K, attn._b_V) if grouped else (attn.b_K, attn.b_V)
    weights, biases = [attn.W_Q, w_k, w_v], [attn.b_Q, b_k, b_v]
    head_norms = [
        None
        if norm is None
        else over_heads(_read_norm(norm), int(cfg.d_head), None if separate_qkv else n_heads)
        for norm in (getattr(attn, "q_norm", None), getattr(attn, "k_norm", None))
    ]
    return Attention(
        project_in=project_in(before, weights, biases, n_heads, separate_qkv),
        joint_rows=not separate_qkv,
        n_heads=n_heads,
        n_kv_heads=int(w_k.shape[0]),
        scale=1.0 / float(attn.attn_scale),
        w_out=attn.W_O.detach(),
        b_out=attn.b_O.detach(),
        soft_cap=positive(getattr(cfg, "attn_scores_soft_cap", None)),
        q_norm=head_norms[0],
        k_norm=head_norms[1],
        post_norm=None if after.kind == "none" else after,
    )


def _read_norm(norm: Any) -> Norm:
    if norm is None or isinstance(norm, nn.Identity):
        return Norm("none")
    is_rms = type(norm).__name__.startswith("RMS")
    weight, bias = getattr(norm, "w", None), getattr(norm, "b", None)
    return Norm("rms" if is_rms else "layer", weight, bias, float(norm.eps))


def _blocked(attn: Any, mask: Tensor | None, stream: Tensor) -> Tensor:
    """The layer's own causal mask, local window and padding included."""
    seq = stream.shape[1]
    scores = stream.new_zeros(1, 1, seq, seq)
    if attn.cfg.attention_dir == "causal":
        scores = attn.apply_causal_mask(scores, 0, mask)
    return scores.isinf()


def _rotary(attn: Any, mask: Tensor | None, stream: Tensor) -> Rotary | None:
    """The layer's own rotation, read off what it does to a vector whose pairs are all (1, 0)."""
    cfg = attn.cfg
    if cfg.positional_embedding_type != "rotary":
        return None
    adjacent = bool(cfg.rotary_adjacent_pairs)
    n = int(cfg.rotary_dim)
    batch = 1 if mask is None else len(mask)
    ones = stream.new_zeros(batch, stream.shape[1], 1, int(cfg.d_head))
    (ones[..., 0:n:2] if adjacent else ones[..., : n // 2]).fill_(1)
    turned = attn.apply_rotary(ones, 0, mask)[..., :n].transpose(1, 2)
    if adjacent:
        cos, sin = (turned[..., at::2].repeat_interleave(2, dim=-1) for at in (0, 1))
        return Rotary(cos, sin, "adjacent")
    cos, sin = (half.repeat(1, 1, 1, 2) for half in turned.chunk(2, dim=-1))
    return Rotary(cos, sin, "half")

"""Small randomly initialised HookedTransformers of every supported kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

import pytest
import torch
from packaging.version import Version

from tests import model_kinds
from tests.reference import FOLDER

MARKS = [
    pytest.mark.legacy,
    pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated:DeprecationWarning"),
    # transformer-lens 3.0 imports a module that it has itself deprecated.
    pytest.mark.filterwarnings("ignore:The 'utils' module has been:DeprecationWarning"),
]

_GATED = {"gated_mlp": True, "act_fn": "silu", "normalization_type": "RMS"}
_ROTARY = {"positional_embedding_type": "rotary", "normalization_type": "RMS"}
_LOCAL = {"use_local_attn": True, "window_size": 3, "attn_types": ["global", "local"]}
_GEMMA = {**_ROTARY, **_GATED, **_LOCAL, "n_key_value_heads": 2, "act_fn": "gelu_pytorch_tanh"}

_SETTINGS: dict[str, dict[str, Any]] = {
    "ln": {},
    "ln-pre": {"normalization_type": "LNPre"},
    "ln-final-rms": {"final_rms": True},
    "rms": {"normalization_type": "RMS"},
    "rms-pre": {"normalization_type": "RMSPre"},
    "no-norm": {"normalization_type": None},
    "attention-only": {"attn_only": True},
    "gated": _GATED,
    "solu-ln": {"act_fn": "solu_ln"},
    "gqa": {"n_key_value_heads": 2},
    "gqa-ungrouped": {"n_key_value_heads": 2, "ungroup_grouped_query_attention": True},
    "rotary-half": _ROTARY,
    "rotary-adjacent-partial": {**_ROTARY, "rotary_adjacent_pairs": True, "rotary_dim": 4},
    "gqa-rotary": {**_ROTARY, "n_key_value_heads": 2},
    "llama-3.1-rotary": {**_ROTARY, "use_NTK_by_parts_rope": True, "NTK_original_ctx_len": 4},
    "parallel": {"parallel_attn_mlp": True},
    "parallel-rotary": {"parallel_attn_mlp": True, **_ROTARY, "rotary_dim": 4},
    "local-attention": {**_LOCAL, "use_attn_scale": False},
    "inverse-layer-scale": {"scale_attn_by_inverse_layer_idx": True},
    "bidirectional": {"attention_dir": "bidirectional"},
    "soft-caps": {"attn_scores_soft_cap": 5.0, "output_logits_soft_cap": 3.0},
    "post-norm": {
        **_GEMMA,
        "use_normalization_before_and_after": True,
        "attn_scores_soft_cap": 5.0,
        "output_logits_soft_cap": 3.0,
    },
    "normed-queries-and-keys": {**_GEMMA, "use_qk_norm": True, "rotary_base_local": 100},
    "olmo2": {**_ROTARY, **_GATED, "original_architecture": "Olmo2ForCausalLM"},
}
_SINCE = {
    "normed-queries-and-keys": "2.17",
    # Since then its hook points show what is added to the residual stream.
    "olmo2": "3.9",
}
"""The first version of transformer-lens that can build a kind."""


def hooked(tokenizer: Any = None, **changes: Any) -> Any:
    """A HookedTransformer with these settings, its weights as different from 0 as trained ones."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    settings: dict[str, Any] = {
        "n_layers": 2,
        "n_heads": 4,
        "d_model": 32,
        "d_head": 8,
        "d_mlp": 64,
        "n_ctx": 16,
        "d_vocab": model_kinds.N_VOCAB,
        "act_fn": "gelu",
        "normalization_type": "LN",
        "seed": 0,
        "device": "cpu",
    }
    model = HookedTransformer(HookedTransformerConfig(**{**settings, **changes}), tokenizer)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Biases and the weights of norms start as constants, which would hide mistakes.
            part = name.split(".")[-1].lstrip("_")
            noise = torch.randn(parameter.shape, generator=draw)
            if part.startswith("W"):
                parameter.copy_(noise * 0.2)
            else:
                parameter.add_(noise * 0.1)
    return model.eval()


def _folded() -> Any:
    """As `from_pretrained` leaves a model: norms folded into weights, weights centred."""
    model = hooked()
    model.process_weights_()
    return model


_MAKERS: dict[str, Callable[[], Any]] = {
    **{kind: lambda changes=changes: hooked(**changes) for kind, changes in _SETTINGS.items()},
    "folded": _folded,
}
_INSTALLED = Version(version("transformer-lens"))
KINDS = tuple(kind for kind in _MAKERS if Version(_SINCE.get(kind, "0")) <= _INSTALLED)


@cache
def model(kind: str) -> Any:
    """A model of this kind; shared between tests, which must leave it as it is."""
    return _MAKERS[kind]()


@cache
def reference_gpt2() -> Any:
    """The small GPT-2 of the reference's fixtures, converted by transformer-lens."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    original = GPT2LMHeadModel.from_pretrained(FOLDER / "model").eval()
    config = HookedTransformerConfig(
        n_layers=2,
        n_heads=4,
        d_model=32,
        d_head=8,
        d_mlp=64,
        n_ctx=16,
        d_vocab=model_kinds.N_VOCAB,
        act_fn="gelu_new",
        normalization_type="LN",
        device="cpu",
    )
    model = HookedTransformer(config)
    model.load_and_process_state_dict(
        convert_gpt2_weights(original, config),
        fold_ln=False,
        center_writing_weights=False,
        center_unembed=False,
        fold_value_biases=False,
    )
    return model.eval()

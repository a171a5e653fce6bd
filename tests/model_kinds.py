"""Small randomly initialised models of every supported kind."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from sp_widget.data.prompts import PromptDataLoader, PromptDataset

N_VOCAB, N_TOKENS = 50, 6


def _native(**changes: Any) -> Any:
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    settings: dict[str, Any] = {
        "n_layers": 2,
        "n_heads": 4,
        "d_model": 32,
        "d_head": 8,
        "d_mlp": 64,
        "n_ctx": 16,
        "d_vocab": N_VOCAB,
        "act_fn": "gelu",
        "normalization_type": "LN",
        "seed": 0,
    }
    bridge = TransformerBridge.boot_native(TransformerBridgeConfig(**{**settings, **changes}))
    return _lively(bridge)


def _lively(model: Any) -> Any:
    """As different from a new model as a trained one is: every part changes the logits.

    Biases start at zero, which would hide a bias in the wrong place, and weights so small that
    attention is the same for all keys, which would hide a wrong scale or rotation.
    """
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
            else:
                parameter.mul_(0.2 / parameter.std())
    return model


def _hugging_face(name: str, **settings: Any) -> Any:
    """A checkpoint written to a folder and booted from there, as a user boots it."""
    import transformers
    from transformer_lens.model_bridge import TransformerBridge

    torch.manual_seed(0)
    suffix = "TextConfig" if name == "Gemma3" else "Config"
    config = getattr(transformers, f"{name}{suffix}")(vocab_size=N_VOCAB, **settings)
    kind = {"GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM")
    model = _lively(getattr(transformers, kind)(config))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        if name not in ("GPT2", "GPTNeoX"):  # the others ask for a tokenizer beside the weights
            tokenizer().save_pretrained(folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def tokenizer() -> Any:
    """Of words: `w3` is token 3, and so on."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "<unk>": 2}
    words |= {f"w{index}": index for index in range(3, N_VOCAB)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="</s>",
    )


_GPT2 = {"n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 16}
_NEOX = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}

_LLAMA = {**_NEOX, "num_key_value_heads": 2}
_GEMMA = {**_LLAMA, "head_dim": 8}

_MAKERS: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: _hugging_face("GPT2", **_GPT2),
    "gpt2-inverse-layer-scale": lambda: _hugging_face(
        "GPT2", **_GPT2, scale_attn_by_inverse_layer_idx=True
    ),
    "gpt2-compatibility": lambda: _compatible(_hugging_face("GPT2", **_GPT2)),
    "neox-parallel": lambda: _hugging_face("GPTNeoX", **_NEOX),
    "neox-sequential": lambda: _hugging_face("GPTNeoX", **_NEOX, use_parallel_residual=False),
    "neox-compatibility": lambda: _compatible(_hugging_face("GPTNeoX", **_NEOX)),
    "gpt-neo": lambda: _hugging_face(
        "GPTNeo",
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        window_size=3,
        attention_types=[[["global", "local"], 1]],
    ),
    "gpt-j": lambda: _hugging_face(
        "GPTJ", n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=32
    ),
    "opt": lambda: _hugging_face(
        "OPT",
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        ffn_dim=64,
        max_position_embeddings=32,
        word_embed_proj_dim=32,
    ),
    "llama": lambda: _hugging_face("Llama", **_LLAMA),
    "llama-compatibility": lambda: _compatible(_hugging_face("Llama", **_LLAMA)),
    "mistral-sliding": lambda: _hugging_face("Mistral", **_LLAMA, sliding_window=3),
    "qwen2": lambda: _hugging_face("Qwen2", **_LLAMA),
    "qwen3": lambda: _hugging_face("Qwen3", **_LLAMA, head_dim=8),
    "phi": lambda: _hugging_face("Phi", **_NEOX),
    "gemma": lambda: _hugging_face("Gemma", **_GEMMA),
    "gemma2": lambda: _hugging_face("Gemma2", **_GEMMA, sliding_window=3, query_pre_attn_scalar=8),
    "gemma3": lambda: _hugging_face(
        "Gemma3",
        **_GEMMA,
        sliding_window=3,
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "olmo2": lambda: _hugging_face("Olmo2", **_LLAMA),
    "native-ln": _native,
    "native-ln-pre": lambda: _native(normalization_type="LNPre"),
    "native-rms": lambda: _native(normalization_type="RMS"),
    "native-rms-pre": lambda: _native(normalization_type="RMSPre"),
    "native-no-norm": lambda: _native(normalization_type=None),
    "native-final-rms": lambda: _native(final_rms=True),
    "native-attention-only": lambda: _native(attn_only=True),
    "native-gated": lambda: _native(gated_mlp=True, act_fn="silu"),
    "native-solu-ln": lambda: _native(act_fn="solu_ln"),
    "native-gqa-rotary": lambda: _native(
        n_key_value_heads=2, positional_embedding_type="rotary", normalization_type="RMS"
    ),
    "native-partial-rotary": lambda: _native(positional_embedding_type="rotary", rotary_dim=4),
    "native-bidirectional": lambda: _native(attention_dir="bidirectional"),
    "native-soft-caps": lambda: _native(attn_scores_soft_cap=5.0, output_logits_soft_cap=3.0),
    "native-compatibility": lambda: _compatible(_native()),
}
KINDS = tuple(_MAKERS)
"""A kind of each, two blocks deep.

`tests/engine/test_edge_engine.py` holds every one of them against the slow definition; other tests
run on those kinds where what they protect may differ.
"""

POSITION_KINDS = (
    "gpt2",
    "gpt-neo",
    "gpt-j",
    "opt",
    "neox-parallel",
    "llama",
    "mistral-sliding",
    "gemma3",
    "native-partial-rotary",
    "native-bidirectional",
    "native-soft-caps",
)
"""One for each way in which a token's position, and what it sees, enters a model."""

_MAKERS |= {
    "one-block": lambda: _native(n_layers=1, n_heads=2, attn_only=True),
    # More blocks than the engine takes backward at once.
    "gpt2-deep": lambda: _hugging_face("GPT2", **{**_GPT2, "n_layer": 9, "n_head": 2}),
    "neox-deep": lambda: _hugging_face(
        "GPTNeoX", **{**_NEOX, "num_hidden_layers": 6, "num_attention_heads": 2}
    ),
}


def _compatible(bridge: Any) -> Any:
    bridge.enable_compatibility_mode()
    return bridge


@cache
def _made(kind: str) -> Any:
    """One that nobody runs: what a bridge keeps of a run cannot be copied."""
    return _MAKERS[kind]()


@cache
def bridge(kind: str) -> Any:
    """A bridge of this kind; shared between tests, which must leave it as it is."""
    return new_bridge(kind)


def new_bridge(kind: str) -> Any:
    """A bridge with the same weights that no other test knows.

    It ran once: a bridge attaches some hooks of its own when it first runs.
    """
    bridge = copy.deepcopy(_made(kind))
    with torch.no_grad():
        bridge(torch.tensor([[1, 2, 3]]))
    return bridge


def dataloader(batch_size: int = 3, n_prompts: int = 7) -> PromptDataLoader:
    """Random prompt pairs; the last batch is smaller."""
    draw = torch.Generator().manual_seed(0)

    def tokens(n: int) -> torch.Tensor:
        return torch.randint(N_VOCAB, (n_prompts, n), generator=draw)

    dataset = PromptDataset(tokens(N_TOKENS), tokens(N_TOKENS), tokens(1), tokens(1))
    return PromptDataLoader(dataset, batch_size=batch_size)

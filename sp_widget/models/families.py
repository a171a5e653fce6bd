"""The supported architectures, and how each differs from the plain pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sp_widget.errors import ArgumentError, UnsupportedModelError
from sp_widget.models.nodes import RotaryPairing


@dataclass(frozen=True)
class Family:
    """What cannot be read off the modules of a model, because its code says it."""

    rotary: RotaryPairing | None = None
    """Which dimensions of queries and keys a rotary embedding turns together."""
    attention_scale: float | None = None
    """Factor of the attention scores where it is not what the modules say."""


FAMILIES: dict[str, Family] = {
    "GPT2LMHeadModel": Family(),
    "GPTNeoForCausalLM": Family(attention_scale=1.0),
    "GPTJForCausalLM": Family(rotary="adjacent"),
    "GPTNeoXForCausalLM": Family(rotary="half"),
    "OPTForCausalLM": Family(),
    "LlamaForCausalLM": Family(rotary="half"),
    "MistralForCausalLM": Family(rotary="half"),
    "Qwen2ForCausalLM": Family(rotary="half"),
    "Qwen3ForCausalLM": Family(rotary="half"),
    "PhiForCausalLM": Family(rotary="half"),
    "GemmaForCausalLM": Family(rotary="half"),
    "Gemma2ForCausalLM": Family(rotary="half"),
    "Gemma3ForCausalLM": Family(rotary="half"),
    "Olmo2ForCausalLM": Family(rotary="half"),
    "TransformerLensNative": Family(rotary="adjacent"),
}
"""By the architecture's name in the bridge's configuration."""


def family_of(bridge: Any) -> Family:
    """The family of a bridge's model; raises `UnsupportedModelError` for one that has none."""
    name = getattr(getattr(bridge, "cfg", None), "architecture", None)
    if name is None or not hasattr(bridge, "blocks"):
        raise ArgumentError(
            "model",
            "a TransformerBridge or a HookedTransformer of transformer-lens",
            type(bridge).__name__,
        )
    if name not in FAMILIES:
        raise UnsupportedModelError(
            f"{name} models are not supported: their blocks have not been shown to split into "
            f"the nodes of the factorized graph. Supported: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]

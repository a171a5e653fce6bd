"""Reads a TransformerBridge of transformer-lens: its blocks, and what feeds them."""

from __future__ import annotations

from typing import Any

from sp_widget.errors import UnsupportedModelError
from sp_widget.models.capture import Calls, attention_inputs
from sp_widget.models.families import family_of
from sp_widget.models.nodes import AttentionInputs, Block, Norm
from sp_widget.models.read_block import read_block, read_norm


class BridgeReader:
    """What an `Architecture` asks of a bridge."""

    def __init__(self, bridge: Any) -> None:
        self._family = family_of(bridge)
        self._bridge = bridge
        self.name = str(bridge.cfg.architecture)

    @staticmethod
    def refuse_unsupported(bridge: Any) -> None:
        """Raise `UnsupportedModelError` or `ArgumentError` for a model that cannot be read."""
        family_of(bridge)

    def blocks(self, separate_qkv: bool) -> tuple[Block, ...]:
        """The nodes of every block."""
        cfg, family = self._bridge.cfg, self._family
        return tuple(read_block(block, cfg, family, separate_qkv) for block in self._bridge.blocks)

    def final_norm(self) -> Norm:
        """The norm before the unembedding."""
        return read_norm(self._final_norm_component(), self._bridge.cfg)

    def attention_inputs(self, calls: Calls) -> tuple[AttentionInputs, ...]:
        """What each attention layer was given in a forward pass."""
        return attention_inputs(self._bridge, calls, self._family.rotary)

    def _final_norm_component(self) -> Any:
        if self.name != "OPTForCausalLM":
            return self._bridge.ln_final
        # The bridge has no component for OPT's final norm.
        decoder = self._bridge.original_model.model.decoder
        if decoder.final_layer_norm is None or decoder.project_out is not None:
            raise UnsupportedModelError(
                "this OPT model normalises after each layer or projects its embeddings (as "
                "opt-350m does): its residual stream is not a sum of what its nodes write."
            )
        return decoder.final_layer_norm

"""`check_model` passes every supported kind of model, and a wrong node fails it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.check_model import ModelCheck, check_model
from sp_widget.engine.edge_engine import KeptWeights
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.engine.patched_run import PatchedRun
from sp_widget.errors import ModelCheckError
from sp_widget.models.nodes import NormedLinear
from tests import model_kinds

MASK_FNS = {"None", "sigmoid", "hard_concrete"}


@pytest.mark.parametrize(
    ("kind", "separate_qkv", "seq_len"),
    [
        *((kind, True, None) for kind in model_kinds.KINDS),
        *(
            (kind, separate_qkv, seq_len)
            for kind in ("gpt2", "neox-parallel", "gemma3", "olmo2", "native-gqa-rotary")
            for separate_qkv, seq_len in (
                (True, model_kinds.N_TOKENS),
                (False, None),
                (False, model_kinds.N_TOKENS),
            )
        ),
    ],
)
def test_the_invariants_hold(kind: str, separate_qkv: bool, seq_len: int | None) -> None:
    model = patchable_model(model_kinds.bridge(kind), separate_qkv=separate_qkv, seq_len=seq_len)
    check = check_model(model, model_kinds.dataloader())
    assert check.failures == []
    assert max(check.sources_sum, check.no_edge_patched, check.all_edges_patched) < 1e-5
    assert set(check.gradients) == MASK_FNS
    assert max(check.gradients.values()) < 1e-5


def _failures(model: PatchableModel) -> list[str]:
    with pytest.raises(ModelCheckError) as error:
        check_model(model, model_kinds.dataloader())
    check = error.value.check
    assert isinstance(check, ModelCheck)
    assert all(name in str(error.value) for name in check.failures), "the message names each"
    return check.failures


@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "native-gqa-rotary"])
def test_a_wrong_projection_breaks_sources_and_logits(kind: str) -> None:
    model = patchable_model(model_kinds.bridge(kind))
    model.engine.architecture.blocks[0].attention.project_in.weight[0] += 0.05
    assert {"sources_sum", "no_edge_patched", "all_edges_patched"} <= set(_failures(model))


def test_a_missing_output_bias_breaks_sources() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    attention = model.engine.architecture.blocks[0].attention
    object.__setattr__(attention, "b_out", None)
    assert "sources_sum" in _failures(model)


def test_a_wrong_node_of_the_last_block_breaks_logits() -> None:
    """No block reads what it writes, so only the logits can tell."""
    model = patchable_model(model_kinds.bridge("gpt2"))
    attention = model.engine.architecture.blocks[1].attention
    object.__setattr__(attention, "scale", attention.scale * 2)
    assert _failures(model) == ["no_edge_patched", "all_edges_patched"]


def test_an_edge_that_is_never_patched_breaks_the_logits_with_all_edges_patched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With no edge patched it makes no difference. (An edge from the embedding: with all edges
    patched every later source writes its patch activation by itself.)
    """
    model = patchable_model(model_kinds.bridge("gpt2"))
    n_sources = len(model.graph.srcs)
    right, right_gradient = KeptWeights.matrices, KeptWeights.mask_gradient

    def wrong(self: KeptWeights, masks: Tensor, dtype: torch.dtype) -> Tensor:
        weights = right(self, masks, dtype)
        weights[:, -1, -n_sources] = 1
        return weights

    def its_gradient(self: KeptWeights, grad: Tensor) -> Tensor:
        gradient = right_gradient(self, grad)
        gradient[:, -n_sources] = 0
        return gradient

    monkeypatch.setattr(KeptWeights, "matrices", wrong)
    monkeypatch.setattr(KeptWeights, "mask_gradient", its_gradient)
    assert _failures(model) == ["all_edges_patched"]


def test_a_wrong_gradient_of_a_node_breaks_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values stay right."""
    model = patchable_model(model_kinds.bridge("gpt2"))
    right = NormedLinear.backward_in_place

    def wrong(self: Any, x: Tensor, y: Tensor, saved: Any, grad_y: Tensor, scratch: Any) -> None:
        right(self, x, y, saved, grad_y, scratch)
        x.mul_(1.01)

    monkeypatch.setattr(NormedLinear, "backward_in_place", wrong)
    assert set(_failures(model)) == {f"gradients[{name}]" for name in MASK_FNS}


def test_gradients_of_one_prompt_alone_break_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake of summing over prompts what belongs to each."""
    model = patchable_model(model_kinds.bridge("gpt2"))
    right = PatchedRun.backward

    def wrong(self: PatchedRun, grad_logits: Tensor, dtype: torch.dtype) -> Tensor:
        gradient = right(self, grad_logits, dtype)
        return gradient.mean(0, keepdim=True).expand_as(gradient).clone()

    monkeypatch.setattr(PatchedRun, "backward", wrong)
    # Without noise all prompts share their masks, and only the sum over prompts counts.
    assert "gradients[hard_concrete]" in _failures(model)


def test_nan_is_a_failure() -> None:
    bridge = copy.deepcopy(model_kinds.bridge("gpt2"))
    model = patchable_model(bridge)
    with torch.no_grad():
        bridge.unembed.original_component.weight[0] = torch.nan
    assert {"no_edge_patched", "all_edges_patched"} <= set(_failures(model))


def test_weights_changed_after_the_graph_was_made_are_noticed() -> None:
    """The engine keeps its own copy of the projections."""
    bridge = copy.deepcopy(model_kinds.bridge("gpt2"))
    model = patchable_model(bridge)
    with torch.no_grad():
        bridge.blocks[0].ln1.original_component.weight.mul_(1.5)
    assert "no_edge_patched" in _failures(model)

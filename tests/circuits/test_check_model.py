"""`check_model` passes every supported kind of model, and a wrong node fails it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.circuits.check_model import ModelCheck, check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.engine.edge_engine import KeptWeights
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.engine.patched_run import PatchedRun
from sp_widget.errors import ModelCheckError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.models.nodes import NormedLinear
from sp_widget.types import OutputSlice
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


SLICES = pytest.mark.parametrize("slice_output", ["last_seq", "not_first_seq", None])


@SLICES
@pytest.mark.parametrize("kind", ["native-no-norm", "gpt2"])
def test_a_model_that_passes_can_be_trained_and_run(kind: str, slice_output: OutputSlice) -> None:
    """At whatever positions count. Some MLPs and unembeddings take only what is contiguous."""
    for factorized in (True, False):
        model = patchable_model(model_kinds.bridge(kind), factorized, slice_output)
        dataloader = model_kinds.dataloader()
        check_model(model, dataloader)
        config = SubnetworkProbingConfig(epochs=1, seed=0)
        scores = SubnetworkProbing(model, dataloader, config, dataloader).run(progress=False)
        outputs = run_circuits(model, dataloader, [0, model.n_edges], scores)
        for batch in dataloader:
            with torch.no_grad():
                clean, corrupt = (
                    model(side)[model.out_slice] for side in (batch.clean, batch.corrupt)
                )
            torch.testing.assert_close(outputs[0][batch.key], corrupt, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                outputs[model.n_edges][batch.key], clean, atol=1e-5, rtol=1e-5
            )


class _Viewing(nn.Module):
    """An MLP or unembedding that takes only what is contiguous, as HookedTransformer's do."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.view(-1, x.shape[-1]).view(x.shape))


@SLICES
@pytest.mark.parametrize("factorized", [True, False])
def test_mlps_and_unembeddings_are_given_contiguous_streams(
    factorized: bool, slice_output: OutputSlice
) -> None:
    model = patchable_model(model_kinds.bridge("native-no-norm"), factorized, slice_output)
    own = model.engine.architecture.model
    own.unembed = _Viewing(own.unembed)
    architecture = model.engine.architecture
    architecture.blocks = tuple(
        replace(block, mlp=_Viewing(block.mlp)) for block in architecture.blocks
    )
    dataloader = model_kinds.dataloader()
    for recompute in (False, True):
        config = SubnetworkProbingConfig(epochs=1, seed=0, recompute=recompute)
        SubnetworkProbing(model, dataloader, config, dataloader).run(progress=False)


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
    model = patchable_model(model_kinds.bridge("gpt2"))
    attention = model.engine.architecture.blocks[1].attention
    object.__setattr__(attention, "scale", torch.nan)
    assert {"no_edge_patched", "all_edges_patched"} <= set(_failures(model))

"""What is refused before it runs, what patching means, and that the bridge stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.check_model import check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError, UnsupportedModelError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType
from tests import model_kinds
from tests.models.fingerprint import fingerprint

KINDS = pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "native-gqa-rotary"])


def _prompts(side: str) -> Tensor:
    return getattr(next(iter(model_kinds.dataloader())), side)


def _plain(bridge: Any, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return bridge(tokens)


# --- what is refused ----------------------------------------------------------------------------


def test_an_unsupported_architecture_is_refused_by_name_before_anything_runs() -> None:
    bridge = model_kinds._hugging_face("Bloom", hidden_size=32, n_layer=2, n_head=4)
    calls: list[str] = []
    bridge.embed.register_forward_hook(lambda *_: calls.append("ran"))
    with pytest.raises(UnsupportedModelError) as error:
        patchable_model(bridge)
    message = str(error.value)
    assert "BloomForCausalLM" in message
    assert "GPT2LMHeadModel" in message, "says what is supported"
    assert not calls


def test_a_model_that_computes_something_else_than_its_nodes_is_refused() -> None:
    """Such as a fine-tuning adapter that changes what a block writes."""
    bridge = model_kinds.new_bridge("gpt2")
    block = bridge.blocks[1]
    kind = type(block)

    class Adapted(kind):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = super().forward(*args, **kwargs)
            adapt = self.mlp
            if isinstance(out, tuple):
                return (out[0] + 0.01 * adapt(out[0]), *out[1:])
            return out + 0.01 * adapt(out)

    block.__class__ = Adapted
    with pytest.raises(UnsupportedModelError, match=r"GPT2LMHeadModel.*nodes do not"):
        patchable_model(bridge)
    block.__class__ = kind
    patchable_model(bridge)


def test_active_dropout_is_refused() -> None:
    bridge = model_kinds.new_bridge("gpt2")
    bridge.train()
    with pytest.raises(ArgumentError, match=r"model\.eval\(\).*dropout") as error:
        patchable_model(bridge)
    assert error.value.argument == "model"
    bridge.eval()
    patchable_model(bridge)


def test_what_is_not_a_bridge_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match=r"wanted a TransformerBridge or a HookedTransformer.*Linear"
    ):
        patchable_model(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("factorized", "no"),
        ("slice_output", "first"),
        ("slice_output", (slice(None), -1)),
        ("seq_len", 0),
        ("seq_len", -3),
        ("seq_len", True),
        ("seq_len", 2.5),
        ("seq_len", "6"),
        ("separate_qkv", "yes"),
        ("device", "meta"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(argument: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"^{argument}: wanted .*got ") as error:
        patchable_model(model_kinds.bridge("gpt2"), **{argument: value})
    assert error.value.argument == argument


def test_a_float64_model_is_accepted_though_its_norms_compute_in_float32() -> None:
    """The native RMS norm does; people use float64 to compare gradients."""
    bridge = nn.Module.to(model_kinds.new_bridge("native-rms"), torch.float64)
    model = patchable_model(bridge)
    check_model(model, model_kinds.dataloader())


# --- what it offers -----------------------------------------------------------------------------


@KINDS
def test_outside_of_patch_mode_it_is_the_plain_model(kind: str) -> None:
    bridge = model_kinds.bridge(kind)
    tokens = _prompts("clean")
    with torch.no_grad():
        logits = patchable_model(bridge)(tokens)
    assert torch.equal(logits, _plain(bridge, tokens))


@pytest.mark.parametrize("slice_output", ["last_seq", "not_first_seq", None])
def test_out_slice_keeps_the_positions_that_it_names(slice_output: Any) -> None:
    model = patchable_model(model_kinds.bridge("gpt2"), slice_output=slice_output)
    logits = torch.arange(2 * 6 * 3).view(2, 6, 3)
    expected = {"last_seq": logits[:, 5], "not_first_seq": logits[:, 1:], None: logits}
    assert torch.equal(logits[model.out_slice], expected[slice_output])
    assert torch.equal(model.sliced(logits[:, model.out_positions]), expected[slice_output])


def test_masks_are_there_for_every_destination_module_and_start_at_zero() -> None:
    model = patchable_model(model_kinds.bridge("native-gqa-rotary"), seq_len=6)
    assert sum(mask.numel() for mask in model.patch_masks.values()) == model.n_edges
    assert {edge.dest.module_name for edge in model.edges} == set(model.patch_masks)
    assert all(mask.count_nonzero() == 0 for mask in model.patch_masks.values())
    assert model.patch_masks["blocks.1.hook_k_input"].shape == (6, 2, 6)


def test_its_repr_says_what_it_is() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"), seq_len=6)
    text = repr(model)
    assert f"{len(model.srcs)} sources" in text
    assert f"{model.n_edges:,} edges at 6 positions" in text


# --- patching -----------------------------------------------------------------------------------


@KINDS
def test_all_edges_patched_is_the_other_prompt_and_none_is_this_one(kind: str) -> None:
    bridge = model_kinds.bridge(kind)
    model = patchable_model(bridge)
    clean, corrupt = _prompts("clean"), _prompts("corrupt")
    with torch.no_grad(), patch_mode(model, src_ablations(model, clean), edges=model.edges):
        torch.testing.assert_close(model(corrupt), _plain(bridge, clean), atol=1e-5, rtol=0)
    with torch.no_grad(), patch_mode(model, src_ablations(model, clean), edges=[]):
        torch.testing.assert_close(model(corrupt), _plain(bridge, corrupt), atol=1e-5, rtol=0)


def test_given_edges_are_patched_instead_of_the_masks_which_come_back() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    for mask in model.patch_masks.values():
        mask.fill_(0.3)
    before = model.patch_masks
    edges = sorted(model.edges, key=str)[::3]
    patch, tokens = src_ablations(model, _prompts("clean")), _prompts("corrupt")
    with torch.no_grad(), patch_mode(model, patch, edges=edges):
        by_edges = model(tokens)
    assert model.patch_masks is before
    assert all((mask == 0.3).all() for mask in before.values())
    for mask in before.values():
        mask.zero_()
    for edge in edges:
        model.patch_masks[edge.dest.module_name][edge.patch_idx] = 1
    with torch.no_grad(), patch_mode(model, patch):
        torch.testing.assert_close(model(tokens), by_edges, rtol=0, atol=0)


def test_contexts_nest() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    tokens = _prompts("corrupt")
    patch, zeros = (
        src_ablations(model, _prompts("clean"), kind)
        for kind in (AblationType.RESAMPLE, AblationType.ZERO)
    )
    with torch.no_grad(), patch_mode(model, patch, edges=model.edges):
        outer = model(tokens)
        with patch_mode(model, zeros, edges=model.edges):
            assert not torch.allclose(model(tokens), outer)
        assert torch.equal(model(tokens), outer)


def test_patched_logits_are_differentiable_in_the_masks() -> None:
    """Against a central difference."""
    model = patchable_model(nn.Module.to(model_kinds.new_bridge("gpt2"), torch.float64))
    patch, tokens = src_ablations(model, _prompts("clean")), _prompts("corrupt")
    mask = model.patch_masks["blocks.1.hook_mlp_in"].requires_grad_()
    with patch_mode(model, patch):
        model(tokens).square().sum().backward()
        assert mask.grad is not None
        gradient = mask.grad[3].item()
        losses = []
        for value in (0.01, -0.01):
            with torch.no_grad():
                mask[3] = value
                losses.append(model(tokens).square().sum().item())
    assert gradient == pytest.approx((losses[0] - losses[1]) / 0.02, rel=1e-3)


@pytest.mark.parametrize("shape", [(3, 6, 32), (4, 3, 6, 32)])
def test_patch_activations_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    with (
        pytest.raises(ArgumentError, match=r"patch_src_outs.*\[11 sources"),
        patch_mode(model, torch.zeros(shape)),
    ):
        pass


def test_prompts_that_do_not_fit_the_patch_are_refused() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    patch = src_ablations(model, _prompts("clean"))
    with patch_mode(model, patch):
        for tokens in (_prompts("clean")[:2], _prompts("clean")[:, :4]):
            with pytest.raises(ArgumentError, match=r"patch_src_outs.*3 prompts of 6 tokens"):
                model(tokens)


def test_prompts_of_another_length_than_seq_len_are_refused() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"), seq_len=3)
    with (
        patch_mode(model, src_ablations(model, _prompts("clean"))),
        pytest.raises(ArgumentError, match=r"3 tokens.*got 6"),
    ):
        model(_prompts("corrupt"))


def test_edges_of_another_model_are_refused() -> None:
    model, other = (patchable_model(model_kinds.bridge("gpt2"), seq_len=n) for n in (None, 6))
    before = model.patch_masks
    with (
        pytest.raises(ArgumentError, match="edges of this model"),
        patch_mode(model, src_ablations(model, _prompts("clean")), edges=other.edges),
    ):
        pass
    assert model.patch_masks is before


# --- the bridge stays as it was -----------------------------------------------------------------


def _use(model: PatchableModel) -> None:
    dataloader = model_kinds.dataloader()
    patch = src_ablations(model, _prompts("clean"))
    with patch_mode(model, patch):
        model(_prompts("corrupt"))
    config = SubnetworkProbingConfig(epochs=1, dropout_p=0.1, seed=0)
    trainer = SubnetworkProbing(model, dataloader, config, dataloader)
    scores = trainer.run(progress=False)
    run_circuits(model, dataloader, [5], scores, ablation_type=AblationType.ZERO)
    check_model(model, dataloader)


@KINDS
def test_the_bridge_is_bit_for_bit_the_same_after_use(kind: str) -> None:
    """Hooks, flags, modes, parameters and their gradients."""
    bridge = model_kinds.new_bridge(kind)
    before = fingerprint(bridge)
    _use(patchable_model(bridge))
    assert fingerprint(bridge) == before


def test_a_bridge_with_frozen_parameters_stays_frozen_and_is_trained_on_all_the_same() -> None:
    bridge = model_kinds.new_bridge("gpt2").requires_grad_(False)
    before = fingerprint(bridge)
    _use(patchable_model(bridge))
    assert fingerprint(bridge) == before


class _InterruptionError(Exception):
    pass


def _interrupt(*_: Any) -> None:
    raise _InterruptionError


@KINDS
@pytest.mark.parametrize("where", ["blocks.1.attn", "unembed"])
def test_an_exception_inside_a_run_leaves_no_hook_behind(kind: str, where: str) -> None:
    bridge = model_kinds.new_bridge(kind)
    model = patchable_model(bridge)
    own = model.engine.architecture.model
    patch, before = src_ablations(model, _prompts("clean")), fingerprint(own)
    culprit = own.blocks[1].attn if where == "blocks.1.attn" else own.unembed
    actions: list[Callable[[], object]] = [
        lambda: src_ablations(model, _prompts("clean")),
        lambda: check_model(model, model_kinds.dataloader()),
        lambda: SubnetworkProbing(model, model_kinds.dataloader()).step(),
    ]
    for action in actions:
        handle = culprit.register_forward_hook(_interrupt)
        with pytest.raises(_InterruptionError):
            action()
        handle.remove()
        assert fingerprint(own) == before
    with torch.no_grad(), patch_mode(model, patch, edges=model.edges):
        logits = model(_prompts("corrupt"))
    torch.testing.assert_close(logits, _plain(bridge, _prompts("clean")), atol=1e-5, rtol=0)


def test_an_exception_inside_patch_mode_ends_it() -> None:
    bridge = model_kinds.bridge("gpt2")
    model = patchable_model(bridge)
    masks = model.patch_masks
    with (
        pytest.raises(_InterruptionError),
        patch_mode(model, src_ablations(model, _prompts("clean")), edges=model.edges),
    ):
        raise _InterruptionError
    assert model.patch_masks is masks
    with torch.no_grad():
        logits = model(_prompts("corrupt"))
    assert torch.equal(logits, _plain(bridge, _prompts("corrupt")))

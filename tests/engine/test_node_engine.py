"""The patched run over residual-stream nodes, against the definition and what follows from it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sp_widget.circuits.check_model import check_model
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.engine.protocol import Patch
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.models.architecture import RunInputs
from tests import model_kinds
from tests.engine.slow_nodes import SlowNodeRun

N_PROMPTS = 3
KINDS = (
    *("gpt2", "llama", "neox-parallel", "gemma2", "opt", "olmo2", "native-attention-only"),
    *("native-gqa-rotary", "native-no-norm"),
)


@cache
def _bridge(kind: str) -> Any:
    return nn.Module.to(model_kinds.bridge.__wrapped__(kind), torch.float64)


def _model(kind: str, seq_len: int | None = None) -> PatchableModel:
    return patchable_model(_bridge(kind), factorized=False, seq_len=seq_len)


def _tolerance(kind: str) -> float:
    """Some norms and rotary tables are in float32 in a float64 model, too."""
    return 1e-9 if kind in ("gpt2", "native-attention-only", "native-no-norm") else 1e-5


def _tokens(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(model_kinds.N_VOCAB, (N_PROMPTS, model_kinds.N_TOKENS), generator=draw)


def _normal(*shape: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _prepared(model: PatchableModel) -> tuple[RunInputs, Patch]:
    inputs, _ = model.engine.architecture.run_inputs(_tokens(1))
    other, _ = model.engine.architecture.run_inputs(_tokens(2))
    return inputs, model.engine.patch(model.engine.source_outputs(other))


def _by_edge(model: PatchableModel, masks: Tensor) -> dict[Edge, Tensor]:
    rows = [model.graph.split(row) for row in masks]
    return {edge: torch.stack([edge.prune_score(row) for row in rows]) for edge in model.edges}


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_mask_gradients_are_those_of_the_definition(
    kind: str, seq_len: int | None
) -> None:
    """Masks of any real value, different for every prompt."""
    model = _model(kind, seq_len)
    masks = _normal(N_PROMPTS, model.n_edges, seed=3).requires_grad_()
    other = SlowNodeRun(_bridge(kind))
    with torch.no_grad():
        other.logits(_tokens(2))
    slow = SlowNodeRun(_bridge(kind), _by_edge(model, masks), other.written).logits(_tokens(1))
    fast = model.engine.run(masks, *_prepared(model))
    tolerance = _tolerance(kind)
    torch.testing.assert_close(fast, slow, rtol=tolerance, atol=tolerance)

    weights = _normal(*slow.shape, seed=4)
    (slow_gradient,) = torch.autograd.grad((slow * weights).sum(), masks)
    (fast_gradient,) = torch.autograd.grad((fast * weights).sum(), masks)
    size = slow_gradient.abs().max().item()
    torch.testing.assert_close(fast_gradient, slow_gradient, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_s_output_is_what_the_hooks_see(kind: str) -> None:
    model, slow = _model(kind), SlowNodeRun(_bridge(kind))
    with torch.no_grad():
        slow.logits(_tokens(1))
    inputs, _ = model.engine.architecture.run_inputs(_tokens(1))
    for src, output in zip(model.srcs, model.engine.source_outputs(inputs), strict=True):
        tolerance = _tolerance(kind)
        torch.testing.assert_close(output, slow.written[src.name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
@pytest.mark.parametrize("kind", KINDS)
def test_the_invariants_hold(kind: str, seq_len: int | None) -> None:
    """No edge patched: the plain run. All: the other prompts. Gradients: finite differences."""
    model = patchable_model(model_kinds.bridge(kind), factorized=False, seq_len=seq_len)
    assert check_model(model, model_kinds.dataloader()).failures == []


def test_a_patched_stream_replaces_all_before_it() -> None:
    """The stream and the head results of the other prompt, into one stream: its logits."""
    model = _model("gpt2")
    inputs, patch = _prepared(model)
    _, _, other_logits = model.engine.plain(model.engine.architecture.run_inputs(_tokens(2))[0])
    masks = torch.zeros(1, model.n_edges, dtype=torch.float64)
    into = [edge for edge in model.edges if edge.dest.name == "Resid Mid 1"]
    masks[0, model.graph.flat_index(into)] = 1
    logits = model.engine.run(masks, inputs, patch)
    torch.testing.assert_close(logits, other_logits, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "gemma2", "native-attention-only"])
def test_recomputing_the_blocks_on_the_way_back_changes_nothing_but_memory(kind: str) -> None:
    model = _model(kind)
    masks = _normal(N_PROMPTS, model.n_edges, seed=5).requires_grad_()
    weights = _normal(N_PROMPTS, model_kinds.N_TOKENS, model_kinds.N_VOCAB, seed=6)
    results, kept = [], []
    for recompute in (False, True):
        n_bytes = 0

        def keep(tensor: Tensor) -> Tensor:
            nonlocal n_bytes
            n_bytes += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model.engine.run(masks, *_prepared(model), recompute=recompute)
        kept.append(n_bytes)
        results.append((logits, torch.autograd.grad((logits * weights).sum(), masks)[0]))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_one_row_of_masks_or_patches_stands_for_every_prompt(seq_len: int | None) -> None:
    """Values, and gradients summed over the prompts."""
    model = _model("llama", seq_len)
    inputs, patch = _prepared(model)
    one = model.engine.patch(patch.sources[:, :1])
    many = model.engine.patch(patch.sources[:, :1].expand(-1, N_PROMPTS, -1, -1))
    shared = _normal(1, model.n_edges, seed=7).requires_grad_()
    repeated = shared.detach().repeat(N_PROMPTS, 1).requires_grad_()
    logits = model.engine.run(shared, inputs, one)
    expected = model.engine.run(repeated, inputs, many)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    weights = _normal(*logits.shape, seed=8)
    (gradient,) = torch.autograd.grad((logits * weights).sum(), shared)
    (gradients,) = torch.autograd.grad((expected * weights).sum(), repeated)
    torch.testing.assert_close(gradient[0], gradients.sum(0))


def test_logits_of_some_positions_are_part_of_all_logits() -> None:
    model = _model("gpt2")
    masks = _normal(1, model.n_edges, seed=9)
    some = model.engine.run(masks, *_prepared(model), slice(-1, None))
    every = model.engine.run(masks, *_prepared(model))[:, -1:]
    torch.testing.assert_close(some, every, rtol=1e-12, atol=1e-12)


def test_no_parameter_of_the_model_gets_a_gradient() -> None:
    """They may be trainable: the masks are what is trained."""
    model = _model("gpt2")
    assert all(parameter.requires_grad for parameter in model.wrapped_model.parameters())
    masks = _normal(1, model.n_edges, seed=10).requires_grad_()
    model.engine.run(masks, *_prepared(model)).sum().backward()
    assert masks.grad is not None
    assert all(parameter.grad is None for parameter in model.wrapped_model.parameters())


def test_edges_are_patched_inside_patch_mode() -> None:
    model = _model("gpt2")
    _, patch = _prepared(model)
    edge = next(edge for edge in model.edges if edge.name == "MLP 1->Resid End")
    with torch.no_grad(), patch_mode(model, patch.sources, edges=[edge]):
        logits = model(_tokens(1))
    other = SlowNodeRun(_bridge("gpt2"))
    with torch.no_grad():
        other.logits(_tokens(2))
        masks = {edge: torch.ones(N_PROMPTS, dtype=torch.float64)}
        expected = SlowNodeRun(_bridge("gpt2"), masks, other.written).logits(_tokens(1))
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_prompts_of_another_length_than_seq_len_are_refused() -> None:
    model = _model("gpt2", seq_len=3)
    with pytest.raises(ArgumentError, match=r"3 tokens.*got 6"):
        model.engine.run(torch.zeros(1, model.n_edges, dtype=torch.float64), *_prepared(model))

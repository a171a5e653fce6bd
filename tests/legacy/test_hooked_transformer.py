"""HookedTransformers of transformer-lens 2 and 3: run by `make test-legacy`."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget import tasks
from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.check_model import check_model
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError, ModelChangedError, UnsupportedModelError
from sp_widget.graph.edge_graph import Graph
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.models.hooked_reader import REFUSED
from sp_widget.types import OutputSlice
from tests import model_kinds
from tests.engine.slow_patching import EdgeMasks
from tests.legacy import hooked_models
from tests.legacy.slow_hooked import SlowHookedRun

pytestmark = hooked_models.MARKS
KINDS = pytest.mark.parametrize("kind", hooked_models.KINDS)
N_PROMPTS = 3


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
@pytest.mark.parametrize("separate_qkv", [True, False])
@KINDS
def test_the_invariants_hold(kind: str, separate_qkv: bool, seq_len: int | None) -> None:
    model = patchable_model(hooked_models.model(kind), separate_qkv=separate_qkv, seq_len=seq_len)
    check = check_model(model, model_kinds.dataloader())
    assert max(check.sources_sum, check.no_edge_patched, check.all_edges_patched) < 1e-5
    assert len(check.gradients) == 3
    assert max(check.gradients.values()) < 1e-5


@pytest.mark.parametrize("slice_output", ["last_seq", "not_first_seq", None])
@KINDS
def test_every_kind_can_be_trained_and_run_at_the_positions_that_count(
    kind: str, slice_output: OutputSlice
) -> None:
    """Its MLP and unembedding take views: a slice of a stream is none that they can take."""
    dataloader = model_kinds.dataloader()
    for factorized in (True, False):
        model = patchable_model(hooked_models.model(kind), factorized, slice_output)
        check_model(model, dataloader)
        config = SubnetworkProbingConfig(epochs=1, seed=0)
        scores = SubnetworkProbing(model, dataloader, config, dataloader).run(progress=False)
        outputs = run_circuits(model, dataloader, [model.n_edges], scores)[model.n_edges]
        for batch in dataloader:
            with torch.no_grad():
                clean = model(batch.clean)[model.out_slice]
            torch.testing.assert_close(outputs[batch.key], clean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("where", ["blocks.0.mlp.hook_post", "hook_embed"])
def test_hooks_are_refused_at_first_and_without_effect_during_a_training(where: str) -> None:
    scores = []
    for hooked in (False, True):
        model = copy.deepcopy(hooked_models.model("ln"))
        patchable, config = patchable_model(model), SubnetworkProbingConfig(epochs=2, seed=0)
        trainer = SubnetworkProbing(patchable, model_kinds.dataloader(), config)
        if hooked:
            model.add_hook(where, lambda activation, hook: torch.zeros_like(activation))
            with pytest.raises(ArgumentError, match=where.replace(".", r"\.")):
                patchable_model(model)
            with pytest.raises(ArgumentError, match=where.replace(".", r"\.")):
                SubnetworkProbing(patchable, model_kinds.dataloader(), config)
        scores.append(trainer.run(progress=False))
    assert all(torch.equal(scores[0][name], scores[1][name]) for name in scores[0])


def test_a_model_whose_weights_changed_is_refused() -> None:
    model = copy.deepcopy(hooked_models.model("ln"))
    patchable = patchable_model(model)
    with torch.no_grad():
        model.blocks[0].ln1.w.mul_(1.5)
    with pytest.raises(ModelChangedError, match=r"ln1\.w"):
        check_model(patchable, model_kinds.dataloader())


@cache
def _in_float64(kind: str) -> Any:
    return patchable_model(hooked_models.model(kind)).engine.architecture.copy_of_model(
        torch.float64
    )


def _tokens(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(model_kinds.N_VOCAB, (N_PROMPTS, model_kinds.N_TOKENS), generator=draw)


def _by_edge(graph: Graph, masks: Tensor) -> EdgeMasks:
    rows = [graph.split(row) for row in masks]
    return {edge: torch.stack([edge.prune_score(row) for row in rows]) for edge in graph.edges}


def _slow_logits(model: PatchableModel, masks: Tensor, tokens: Tensor, other: Tensor) -> Tensor:
    clean = SlowHookedRun(model.wrapped_model)
    with torch.no_grad():
        clean.logits(other)
    edges = _by_edge(model.graph, masks)
    return SlowHookedRun(model.wrapped_model, edges, clean.written).logits(tokens)


@pytest.mark.parametrize("separate_qkv", [True, False])
@KINDS
def test_logits_and_mask_gradients_are_those_of_the_definition(
    kind: str, separate_qkv: bool
) -> None:
    """Masks of any real value, different for every prompt."""
    seq_len = None if separate_qkv else model_kinds.N_TOKENS
    model = patchable_model(_in_float64(kind), separate_qkv=separate_qkv, seq_len=seq_len)
    draw = torch.Generator().manual_seed(3)
    masks = torch.randn(N_PROMPTS, model.n_edges, generator=draw, dtype=torch.float64)
    masks.requires_grad_()
    slow = _slow_logits(model, masks, _tokens(1), _tokens(2))
    inputs, _ = model.engine.architecture.run_inputs(_tokens(1))
    other, _ = model.engine.architecture.run_inputs(_tokens(2))
    fast = model.engine.run(masks, inputs, model.engine.patch(model.engine.source_outputs(other)))
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)

    weights = torch.randn(slow.shape, generator=draw, dtype=torch.float64)
    (expected,) = torch.autograd.grad((slow * weights).sum(), masks)
    (gradient,) = torch.autograd.grad((fast * weights).sum(), masks)
    size = expected.abs().max().item()
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize("kind", ["ln", "gqa-rotary", "post-norm"])
def test_trained_scores_are_those_of_training_by_hooks(kind: str) -> None:
    """Three steps of Adam on KL(model || circuit) + count / edges."""
    model = patchable_model(hooked_models.model(kind))
    clean, corrupt = _tokens(1), _tokens(2)
    answers = torch.zeros(N_PROMPTS, 1, dtype=torch.long)
    loader = PromptDataLoader(PromptDataset(clean, corrupt, answers, answers + 1), batch_size=3)
    config = SubnetworkProbingConfig(
        epochs=3, regularize_lambda=1.0, mask_fn="sigmoid", init_val=1.0, learning_rate=0.1
    )
    scores = SubnetworkProbing(model, loader, config).run(progress=False)

    theta = torch.full((1, model.n_edges), -1.0, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=0.1)
    with torch.no_grad():
        target = hooked_models.model(kind)(clean)[:, -1].log_softmax(-1)
    for _ in range(3):
        m = theta.sigmoid()
        logits = _slow_logits(model, m.expand(N_PROMPTS, -1), corrupt, clean)[:, -1]
        kl = (target.exp() * (target - logits.log_softmax(-1))).sum(-1).mean()
        optimizer.zero_grad()
        (kl + m.mean()).backward()
        optimizer.step()
    trained = theta[0].detach()
    for name, expected in model.graph.split(trained.min().abs() + trained).items():
        torch.testing.assert_close(scores[name], expected, atol=1e-4, rtol=0)


@KINDS
def test_the_invariants_hold_on_padded_prompts(kind: str) -> None:
    """A whole prompt, and two with padding before them."""
    draw = torch.Generator().manual_seed(4)
    clean, corrupt = (torch.randint(model_kinds.N_VOCAB, (3, 6), generator=draw) for _ in range(2))
    mask = torch.ones(3, 6, dtype=torch.long)
    mask[1, :2] = mask[2, :1] = 0
    answers = torch.zeros(3, 1, dtype=torch.long)
    dataset = PromptDataset(
        clean,
        corrupt,
        answers,
        answers + 1,
        clean_attention_mask=mask,
        corrupt_attention_mask=mask,
    )
    check_model(patchable_model(hooked_models.model(kind)), PromptDataLoader(dataset, batch_size=3))


@KINDS
def test_positions_are_counted_as_the_model_counts_them(kind: str) -> None:
    """It counts real tokens only: a gap between them shifts positions, and so rotations."""
    model = patchable_model(hooked_models.model(kind), slice_output=None)
    mask = torch.ones(N_PROMPTS, model_kinds.N_TOKENS, dtype=torch.long)
    mask[1, 2:4] = 0
    with torch.no_grad():
        expected = model(_tokens(1), mask)
        with patch_mode(model, src_ablations(model, _tokens(2)), edges=[]):
            logits = model(_tokens(1), mask)
    torch.testing.assert_close(logits[mask.bool()], expected[mask.bool()], atol=1e-4, rtol=0)


def test_the_bundled_tasks_say_which_version_they_need() -> None:
    with pytest.raises(ImportError, match=r"transformer-lens 4\.3 or newer"):
        tasks.load("tiny-ioi")


def test_flags_and_hooks_of_the_model_are_left_alone() -> None:
    model = hooked_models.model("ln")
    patchable = patchable_model(model)
    before = copy.copy(vars(model.cfg))
    check_model(patchable, model_kinds.dataloader())
    assert vars(model.cfg) == before
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_split_into_nodes_is_refused_by_name(name: str) -> None:
    model = copy.deepcopy(hooked_models.model("ln"))
    if name in ("alibi", "shortformer", "relative_positional_bias"):
        model.cfg.positional_embedding_type = name
    else:
        setattr(model.cfg, name, 2)
    with pytest.raises(UnsupportedModelError, match=f"HookedTransformer with {name}"):
        patchable_model(model)

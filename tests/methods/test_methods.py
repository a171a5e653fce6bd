"""What every method must do, and each against something independent of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sp_widget as sp
from sp_widget.circuits.metrics import kl_div
from sp_widget.methods.edge_pruning import EdgePruning
from sp_widget.methods.learned_ranking import soft_top_k
from sp_widget.methods.mask_gradient import answer_loss
from tests import model_kinds

ALL = [name for name in sp.methods.names() if name != "ground_truth"]
TRAINED = ["subnetwork_probing", "learned_ranking", "edge_pruning", "uniform_gradient_sampling"]


def _model(kind: str = "gpt2", **arguments: Any) -> sp.PatchableModel:
    return sp.patchable_model(model_kinds.bridge(kind), **arguments)


def _trainer(name: str, model: sp.PatchableModel, **settings: Any) -> Any:
    method = sp.methods.get(name)
    if name in TRAINED:
        settings = {"epochs": 3, **settings}
    config = method.Config(seed=0, **settings)
    loader = model_kinds.dataloader()
    return method.trainer(model, loader, config, loader)


def _flat(scores: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.flatten() for value in scores.values()])


@pytest.mark.parametrize("name", ALL)
def test_a_method_says_what_it_is_and_scores_every_edge(name: str) -> None:
    method = sp.methods.get(name)
    assert method.name == name
    assert method.title
    assert method.summary.endswith(".")
    trainer = _trainer(name, _model())
    scores = trainer.run(progress=False)
    assert trainer.done
    assert len(trainer.history) == trainer.n_steps
    assert {key: value.shape for key, value in scores.items()} == {
        key: value.shape for key, value in trainer.model.patch_masks.items()
    }
    flat = _flat(scores)
    assert not flat.isnan().any()
    assert flat.unique().numel() > 1
    assert trainer.history[-1].hard_edge_count == trainer.hard_edge_count
    assert trainer.evaluate().edges == trainer.hard_edge_count


def _shapes() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "gpt2", {"seq_len": model_kinds.N_TOKENS}
    yield "gpt2", {"separate_qkv": False}
    yield "native-gqa-rotary", {}
    yield "gpt2", {"factorized": False}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("kind", "arguments"), list(_shapes()), ids=str)
def test_a_method_runs_on_what_the_engine_runs_on_or_says_why_not(
    name: str, kind: str, arguments: dict[str, Any]
) -> None:
    model = _model(kind, **arguments)
    node_level = not arguments.get("factorized", True)
    if name in ("eap_ig", "weight_magnitude") and node_level:
        with pytest.raises(sp.ArgumentError, match="factorized=False"):
            _trainer(name, model)
        return
    flat = _flat(_trainer(name, model).run(progress=False))
    assert flat.numel() == model.n_edges
    assert not flat.isnan().any()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 3.0])
def test_the_soft_cut_keeps_exactly_the_size_and_has_the_gradient_of_finite_differences(
    temperature: float,
) -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(30, generator=draw, dtype=torch.float64)
    sizes = torch.tensor([1.0, 4.5, 29.0], dtype=torch.float64)
    kept = soft_top_k(scores, sizes, temperature)
    torch.testing.assert_close(kept.sum(1), sizes, atol=1e-6, rtol=0)
    order = scores.argsort()
    assert (kept[:, order].diff(dim=1) >= 0).all(), "a higher score is kept more"
    assert torch.autograd.gradcheck(
        lambda s: soft_top_k(s, sizes, temperature), scores.requires_grad_(), atol=1e-5
    )


def test_a_learned_ranking_draws_sizes_log_uniformly() -> None:
    trainer = _trainer("learned_ranking", _model())
    sizes = torch.cat(
        [
            (1 - trainer.sample_masks(4, trainer.generator(step))).sum(1).detach()
            for step in range(1, 200)
        ]
    )
    logs = sizes.log() / math.log(trainer.n_edges)
    quarters = torch.histc(logs, 4, 0, 1) / len(logs)
    torch.testing.assert_close(quarters, torch.full((4,), 0.25), atol=0.01, rtol=0)


@pytest.mark.parametrize("path", ["linear", "logarithmic"])
def test_edge_pruning_ends_with_exactly_the_size_that_was_asked_for(path: str) -> None:
    trainer = _trainer("edge_pruning", _model(), epochs=10, circuit_size=7, target_path=path)
    sizes = [trainer.target_size(step) for step in range(trainer.n_steps + 1)]
    assert sizes[0] == trainer.n_edges
    assert sizes[-1] == 7
    assert sizes == sorted(sizes, reverse=True)
    trainer.run(progress=False)
    assert trainer.history[-1].hard_edge_count == 7


def test_edge_pruning_pushes_the_sampled_number_of_edges_to_the_target() -> None:
    trainer = _trainer(
        "edge_pruning", _model(), epochs=150, circuit_size=20, learning_rate=0.2, warmup=0.5
    )
    trainer.run(progress=False)
    assert isinstance(trainer, EdgePruning)
    assert trainer.history[-1].soft_edge_count == pytest.approx(20, rel=0.25)
    assert trainer.multipliers[0] != 0, "the multipliers are trained as well"


def test_ugs_masks_are_certain_but_for_a_window_of_the_right_probability() -> None:
    trainer = _trainer("uniform_gradient_sampling", _model(), init_val=1.0)
    masks = trainer.sample_masks(20_000, trainer.generator(1))
    kept, theta = 1 - masks.detach(), torch.sigmoid(torch.tensor(1.0))
    uncertain = ((kept > 0) & (kept < 1)).float().mean()
    assert uncertain.item() == pytest.approx((theta * (1 - theta)).item(), abs=0.003)
    assert kept.mean().item() == pytest.approx(theta.item(), abs=0.003)
    # Inside the window the gradient with respect to theta is 1, outside it is 0.
    (gradient,) = torch.autograd.grad(masks.sum(), trainer.theta)
    expected = -((kept > 0) & (kept < 1)).float().sum(0) * theta * (1 - theta)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-2)


def test_eap_ig_of_the_inputs_is_the_attribution_written_out() -> None:
    """From plain runs with interpolated embeddings alone: what each destination reads gets a
    gradient by a finite difference along (corrupt - clean) of each source."""
    in_float64 = nn.Module.to(model_kinds.new_bridge("gpt2"), torch.float64)
    model = sp.patchable_model(in_float64)
    loader = model_kinds.dataloader(batch_size=3, n_prompts=3)
    method = sp.methods.get("eap_ig")
    trainer = method.trainer(model, loader, method.Config(points=3, seed=0))
    ours = model.graph.flatten(trainer.run(progress=False)).double()

    here, engine = trainer.batches[0], model.engine
    batch = here.batch
    clean, _ = engine.architecture.run_inputs(batch.clean)
    corrupt, _ = engine.architecture.run_inputs(batch.corrupt)
    a, c = engine.source_outputs(corrupt), engine.source_outputs(clean)
    step = 1e-4
    expected = torch.zeros(model.n_edges, dtype=torch.float64)
    from dataclasses import replace

    for k in (1, 2, 3):
        embed = corrupt.embed + k / 3 * (clean.embed - corrupt.embed)
        between = replace(clean, embed=embed)
        # Patched with what a source writes now plus a small step, the edge's destination alone
        # reads that much more.
        patch = engine.patch(engine.source_outputs(between) + step * (a - c))
        for edge in range(0, model.n_edges, 7):
            masks = torch.zeros(2, model.n_edges, dtype=torch.float64)
            masks[0, edge] = 1
            masks[1, edge] = -1
            with torch.no_grad():
                up, down = (
                    answer_loss(
                        model.sliced(
                            engine.run(row.unsqueeze(0), between, patch, model.out_positions)
                        ),
                        batch,
                        "logit",
                        "avg_diff",
                    )
                    for row in masks
                )
            expected[edge] += (up - down) / (2 * step) / 3
    places = torch.arange(0, model.n_edges, 7)
    torch.testing.assert_close(ours[places], expected[places], rtol=1e-3, atol=1e-5)


def test_acdc_removes_an_edge_exactly_when_little_is_lost() -> None:
    """One edge at a time with whole runs, as the paper has it."""
    model = _model()
    threshold = 0.002
    method = sp.methods.get("acdc")
    trainer = method.trainer(
        model, model_kinds.dataloader(), method.Config(thresholds=(threshold,))
    )
    trainer.run(progress=False)
    here = trainer.batches[0]

    removed = torch.zeros(model.n_edges)
    before = 0.0
    for group in trainer._groups:
        for edge in group.tolist():
            removed[edge] = 1
            with torch.no_grad():
                logits = model.engine.run(
                    removed.unsqueeze(0), here.inputs, here.patch(), model.out_positions
                )
            value = kl_div(model.sliced(logits), here.clean_logits, here.batch).item()
            if value - before < threshold:
                before = value
            else:
                removed[edge] = 0
    assert torch.equal(trainer.tensors["removed"], removed)
    assert 0 < removed.sum() < model.n_edges


def test_ground_truth_scores_the_known_edges_and_asks_for_them() -> None:
    model, loader = _model(), model_kinds.dataloader()
    known = set(sorted(model.edges, key=str)[:5])
    scores = sp.ground_truth_prune_scores(model, loader, known)
    assert {edge for edge in model.edges if edge.prune_score(scores) == 1} == known
    assert sp.auroc(model, scores, known) == 1
    with pytest.raises(sp.ArgumentError, match="official_edges"):
        sp.ground_truth_prune_scores(model, loader)


def test_random_scores_follow_the_seed() -> None:
    model, loader = _model(), model_kinds.dataloader()
    first, again, other = (sp.random_prune_scores(model, loader, seed=n) for n in (1, 1, 2))
    assert torch.equal(_flat(first), _flat(again))
    assert not torch.equal(_flat(first), _flat(other))


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (sp.learned_ranking_prune_scores, {"temperature": 0}),
        (sp.learned_ranking_prune_scores, {"nonsense": 1}),
        (sp.edge_pruning_prune_scores, {"circuit_size": 10**6}),
        (sp.uniform_gradient_sampling_prune_scores, {"regularize_lambda": -1}),
        (sp.mask_gradient_prune_scores, {"grad_function": "nothing"}),
        (sp.mask_gradient_prune_scores, {"clean_corrupt": "clean"}),
        (sp.eap_ig_prune_scores, {"points": 0}),
        (sp.acdc_prune_scores, {"tao_bases": (-1,)}),
    ],
)
def test_a_bad_argument_is_refused_by_name(function: Any, argument: dict[str, Any]) -> None:
    with pytest.raises(sp.ArgumentError) as caught:
        function(_model(), model_kinds.dataloader(), progress=False, **argument)
    (name,) = argument
    assert caught.value.argument == name

"""Circuits of given sizes, both ways of patching."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType, PatchType
from tests import model_kinds

PATCH_TYPES = pytest.mark.parametrize("patch_type", PatchType)


def _model(kind: str = "gpt2", seq_len: int | None = None) -> PatchableModel:
    return patchable_model(model_kinds.bridge(kind), seq_len=seq_len)


def _scores(model: PatchableModel) -> PruneScores:
    """Signed, without ties, the largest in size at random."""
    draw = torch.Generator().manual_seed(0)
    flat = torch.randn(model.n_edges, generator=draw)
    return PruneScores(model.graph.split(flat), model.graph)


def _plain(model: PatchableModel, side: str) -> dict[int, Tensor]:
    with torch.no_grad():
        return {
            batch.key: model(getattr(batch, side))[model.out_slice]
            for batch in model_kinds.dataloader()
        }


@pytest.mark.parametrize("seq_len", [None, 6])
@pytest.mark.parametrize("kind", ["gpt2", "native-gqa-rotary"])
@PATCH_TYPES
def test_all_edges_are_the_clean_model_and_none_is_the_corrupt_one(
    kind: str, seq_len: int | None, patch_type: PatchType
) -> None:
    """In both ways of patching the circuit is what carries the clean prompt."""
    model = _model(kind, seq_len)
    outputs = run_circuits(
        model, model_kinds.dataloader(), [0, model.n_edges], _scores(model), patch_type
    )
    for n, side in ((0, "corrupt"), (model.n_edges, "clean")):
        for key, expected in _plain(model, side).items():
            torch.testing.assert_close(outputs[n][key], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ablation_type", AblationType)
@PATCH_TYPES
def test_a_circuit_is_its_edges_patched_or_all_others_ablated(
    patch_type: PatchType, ablation_type: AblationType
) -> None:
    """The same by way of `patch_mode`, with the edges of largest absolute score."""
    model, loader, n = _model(), model_kinds.dataloader(), 23
    scores = _scores(model)
    ranked = sorted(
        model.edges, key=lambda edge: abs(edge.prune_score(scores).item()), reverse=True
    )
    outputs = run_circuits(model, loader, [n], scores, patch_type, ablation_type)
    for batch in loader:
        if patch_type is PatchType.EDGE_PATCH:
            tokens, other, edges = batch.corrupt, batch.clean, ranked[:n]
        else:
            tokens, other, edges = batch.clean, batch.corrupt, ranked[n:]
        sample = loader if ablation_type.mean_over_dataset else other
        patch = src_ablations(model, sample, ablation_type)[:, : len(tokens)]
        with torch.no_grad(), patch_mode(model, patch, edges=edges):
            expected = model(tokens)[:, -1]
        torch.testing.assert_close(outputs[n][batch.key], expected, atol=1e-5, rtol=1e-5)


def test_outputs_are_keyed_by_the_numbers_asked_for_and_by_batch() -> None:
    model = _model()
    counts = [5, 0, 17]
    outputs = run_circuits(model, model_kinds.dataloader(), counts, _scores(model))
    assert list(outputs) == counts
    keys = [batch.key for batch in model_kinds.dataloader()]
    assert len(set(keys)) == 3
    for by_batch in outputs.values():
        assert list(by_batch) == keys
        assert [len(logits) for logits in by_batch.values()] == [3, 3, 1]


@pytest.mark.parametrize("slice_output", ["last_seq", "not_first_seq", None])
def test_outputs_have_the_shape_of_the_model_s_slice(slice_output: object) -> None:
    model = patchable_model(model_kinds.bridge("gpt2"), slice_output=slice_output)  # type: ignore[arg-type]
    outputs = run_circuits(model, model_kinds.dataloader(), [model.n_edges], _scores(model))
    for key, expected in _plain(model, "clean").items():
        torch.testing.assert_close(outputs[model.n_edges][key], expected, atol=1e-5, rtol=1e-5)


def test_tied_scores_admit_no_more_edges_than_asked_for() -> None:
    """All scores equal: five edges, the first five, and not all of them."""
    model = _model()
    scores = {name: torch.ones_like(mask) for name, mask in model.patch_masks.items()}
    outputs = run_circuits(model, model_kinds.dataloader(), [5], scores)
    batch = next(iter(model_kinds.dataloader()))
    patch = src_ablations(model, batch.clean)
    with torch.no_grad(), patch_mode(model, patch, edges=model.edge_dict[None][:5]):
        expected = model(batch.corrupt)[:, -1]
    torch.testing.assert_close(outputs[5][batch.key], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_the_hard_circuit_of_a_training_is_what_its_scores_say(tree_optimisation: bool) -> None:
    """The recorded validation of the hard circuit, found again from scores and edge count."""
    model, loader = _model(), model_kinds.dataloader(batch_size=7)
    config = SubnetworkProbingConfig(
        tree_optimisation=tree_optimisation, epochs=40, regularize_lambda=0.3, seed=0
    )
    trainer = SubnetworkProbing(model, loader, config, loader)
    scores = trainer.run(progress=False)
    last = trainer.history[-1]
    assert 0 < last.hard_edge_count < model.n_edges
    patch_type = PatchType.TREE_PATCH if tree_optimisation else PatchType.EDGE_PATCH
    outputs = run_circuits(model, loader, [last.hard_edge_count], scores, patch_type)
    batch = next(iter(loader))
    with torch.no_grad():
        log_p = model(batch.clean)[:, -1].log_softmax(-1)
    log_q = outputs[last.hard_edge_count][batch.key].log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean().item()
    assert last.validation_hard == pytest.approx(kl, rel=1e-4)


def test_nothing_needs_a_gradient() -> None:
    model = _model()
    outputs = run_circuits(model, model_kinds.dataloader(), [3], _scores(model))
    assert not any(logits.requires_grad for logits in outputs[3].values())

"""What a score function of one's own is made of: names, masks as leaves, new scores."""

from __future__ import annotations

import pytest
import torch

from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import patch_mode, patchable_model
from tests import model_kinds


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_edges_can_be_given_by_name(seq_len: int | None) -> None:
    """A name alone stands for all token positions."""
    model = patchable_model(model_kinds.bridge("gpt2"), seq_len=seq_len)
    batch = next(iter(model_kinds.dataloader()))
    patch = src_ablations(model, batch.clean)
    name = "MLP 0->A1.2.K"
    edges = [edge for edge in model.edges if edge.name == name]
    assert len(edges) == model.graph.n_positions

    def patched(edges: list[object]) -> torch.Tensor:
        with torch.no_grad(), patch_mode(model, patch, edges):
            return model(batch.corrupt)

    assert torch.equal(patched([name]), patched(edges))
    assert torch.equal(patched([repr(edges[0])]), patched(edges[:1]))
    assert torch.equal(patched([name, edges[0], name]), patched(edges))
    assert not torch.equal(patched([name]), patched([]))


def test_new_scores_have_a_value_for_every_edge() -> None:
    model = patchable_model(model_kinds.bridge("native-gqa-rotary"), seq_len=6)
    scores = PruneScores(model.new_prune_scores(0.5), model.graph)
    assert sum(score.numel() for score in scores.values()) == model.n_edges
    assert all((score == 0.5).all() for score in scores.values())
    assert all((score == 0).all() for score in model.new_prune_scores().values())


def test_an_edge_knows_its_mask() -> None:
    model = patchable_model(model_kinds.bridge("gpt2"))
    edge = next(edge for edge in model.edges if edge.name == "MLP 0->A1.2.K")
    edge.patch_mask(model)[edge.patch_idx] = 1
    batch = next(iter(model_kinds.dataloader()))
    patch = src_ablations(model, batch.clean)
    with torch.no_grad(), patch_mode(model, patch):
        by_mask = model(batch.corrupt)
    with torch.no_grad(), patch_mode(model, patch, [edge]):
        assert torch.equal(model(batch.corrupt), by_mask)


def test_masks_can_be_trained_as_they_are() -> None:
    """A score function of one's own, in ten lines: masks that bring back the clean logits."""
    model = patchable_model(model_kinds.bridge("gpt2"))
    batch = next(iter(model_kinds.dataloader()))
    clean = model(batch.clean).detach()
    patch = src_ablations(model, batch.clean)
    masks = list(model.patch_masks.values())
    assert all(mask.is_leaf for mask in masks)
    optimizer = torch.optim.Adam([mask.requires_grad_() for mask in masks], lr=0.05)
    losses = []
    with patch_mode(model, patch):
        for _ in range(30):
            optimizer.zero_grad()
            loss = (model(batch.corrupt) - clean).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] / 10

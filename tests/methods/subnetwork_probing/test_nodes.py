"""A training on residual-stream nodes, from the trainer to circuits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sp_widget import tasks
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import PatchType
from tests import model_kinds


@pytest.fixture(scope="module")
def trained() -> tuple[PatchableModel, SubnetworkProbing]:
    task = tasks.load("tiny-ioi")
    model = patchable_model(task.model.wrapped_model, factorized=False)
    trainer = SubnetworkProbing(model, task.train_loader, replace(task.config, epochs=10))
    trainer.run(progress=False)
    return model, trainer


def test_it_learns_to_do_with_fewer_nodes(
    trained: tuple[PatchableModel, SubnetworkProbing],
) -> None:
    model, trainer = trained
    first, last = trainer.history[0], trainer.history[-1]
    assert last.loss < first.loss / 2
    assert last.hard_edge_count < model.n_edges


def test_its_circuit_does_what_as_many_random_nodes_do_not(
    trained: tuple[PatchableModel, SubnetworkProbing],
) -> None:
    """On other prompts, by the answers that come out right."""
    model, trainer = trained
    loader = tasks.load("tiny-ioi").test_loader
    n_edges = trainer.history[-1].hard_edge_count

    def n_right(scores: dict[str, torch.Tensor]) -> int:
        outputs = run_circuits(model, loader, [n_edges], scores, PatchType.TREE_PATCH)[n_edges]
        right = [
            outputs[batch.key].argmax(-1) == torch.as_tensor(batch.answers).flatten()
            for batch in loader
        ]
        return int(torch.cat(right).sum())

    found = trainer.prune_scores
    draw = torch.Generator().manual_seed(0)
    random = model.graph.split(torch.rand(model.n_edges, generator=draw))
    assert n_right(found) > 0.9 * 256
    assert n_right(random) < 0.7 * 256


@pytest.mark.parametrize("seq_len", [None, model_kinds.N_TOKENS])
def test_scores_are_the_same_with_recomputed_blocks(seq_len: int | None) -> None:
    model = patchable_model(model_kinds.bridge("gemma2"), factorized=False, seq_len=seq_len)
    scores = [
        SubnetworkProbing(
            model,
            model_kinds.dataloader(),
            SubnetworkProbingConfig(epochs=2, seed=0, recompute=recompute),
        ).run(progress=False)
        for recompute in (False, True)
    ]
    assert list(scores[0]) == [module.name for module in model.graph.modules]
    for name, values in scores[0].items():
        torch.testing.assert_close(values, scores[1][name], rtol=0, atol=0)

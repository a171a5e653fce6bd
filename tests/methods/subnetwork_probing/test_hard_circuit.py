"""The hard circuit on held-out data: what is measured, what it leaves alone, and what is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.circuits.ablations import src_ablations
from sp_widget.data.prompts import PromptDataLoader, PromptDataset
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import StateError
from sp_widget.methods.best import Best
from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.sparsity import chosen, sparsity_of, thresholded
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds


def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("gpt2"))


def _validation() -> PromptDataLoader:
    """Five prompts in batches of three and two: their means must not be averaged as they are."""
    draw = torch.Generator().manual_seed(5)
    clean, corrupt = (torch.randint(model_kinds.N_VOCAB, (5, 6), generator=draw) for _ in range(2))
    answers, wrong = (torch.randint(model_kinds.N_VOCAB, (5, 1), generator=draw) for _ in range(2))
    return PromptDataLoader(PromptDataset(clean, corrupt, answers, wrong), batch_size=3)


def _trainer(validate: bool = True, **settings: Any) -> SubnetworkProbing:
    config = SubnetworkProbingConfig(
        **{"epochs": 4, "seed": 0, "learning_rate": 0.4, "evaluate_every": None, **settings}
    )
    loader = model_kinds.dataloader()
    return SubnetworkProbing(_model(), loader, config, _validation() if validate else None)


def _theta(trainer: SubnetworkProbing) -> Tensor:
    return trainer.theta.detach().clone()


def _same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def _kl_of_circuit(masks: Tensor, tree_optimisation: bool) -> float:
    """KL(clean || circuit), prompt by prompt, by way of `patch_mode`."""
    model, total = _model(), 0.0
    for batch in _validation():
        run, patch_with = batch.corrupt, batch.clean
        if tree_optimisation:
            run, patch_with = patch_with, run
        for i in range(len(batch.clean)):
            with torch.no_grad():
                clean = model(batch.clean[i : i + 1])[:, -1].double().log_softmax(-1)
                for name, values in model.graph.split(masks.float()).items():
                    model.patch_masks[name].copy_(values)
                with patch_mode(model, src_ablations(model, patch_with[i : i + 1])):
                    circuit = model(run[i : i + 1])[:, -1].double().log_softmax(-1)
            total += (clean.exp() * (clean - circuit)).sum().item()
    return total / 5


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_the_rounded_masks_are_measured_on_every_validation_prompt(tree_optimisation: bool) -> None:
    trainer = _trainer(tree_optimisation=tree_optimisation, regularize_lambda=0.01)
    trainer.run(progress=False, until_step=7)
    measured = trainer.evaluate()
    masks = _theta(trainer) > 0
    n_edges = int((~masks if tree_optimisation else masks).sum())
    assert 0 < n_edges < trainer.n_edges
    assert (measured.step, measured.edges) == (7, n_edges)
    assert measured.regularizer == pytest.approx(n_edges / trainer.n_edges)
    expected = _kl_of_circuit(masks, tree_optimisation)
    assert measured.faithfulness == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_top_k_takes_as_many_edges_as_are_aimed_for_the_most_important_ones(
    tree_optimisation: bool,
) -> None:
    config = SubnetworkProbingConfig(
        hard_circuit="top_k", circuit_size=2, tree_optimisation=tree_optimisation
    )
    theta = torch.tensor([-3.0, 2.0, -1.0, 0.5])
    circuit = chosen(theta, config, soft_edge_count=torch.tensor(3.2))
    assert circuit.tolist() == (
        [True, False, True, False] if tree_optimisation else [False, True, False, True]
    )
    # Without a size, as many as the regularizer counts.
    counted = chosen(theta, replace(config, circuit_size=None), torch.tensor(2.8))
    assert counted.sum() == 3
    rounded = chosen(theta, replace(config, hard_circuit="threshold"), torch.tensor(3.2))
    assert rounded.tolist() == circuit.tolist()


def test_without_a_circuit_size_top_k_takes_as_many_as_the_regularizer_counts() -> None:
    trainer = _trainer(hard_circuit="top_k")
    trainer.step()
    counted = round(trainer.history[-1].soft_edge_count)
    rounded = thresholded(trainer.theta, trainer.config)
    assert counted != rounded.sum(), "else this would tell nothing"
    assert trainer.evaluate().edges == counted


def test_the_regularizer_counts_whole_edges() -> None:
    circuit = torch.tensor([True, True, True, False])
    none = torch.tensor([], dtype=torch.long)
    avoided = torch.tensor([0, 3])
    config = SubnetworkProbingConfig(avoid_lambda=10)
    assert sparsity_of(circuit, config, none) == 3 / 4
    assert sparsity_of(circuit, config, avoided) == 3 / 4 + 10 * 1 / 2
    assert sparsity_of(circuit, replace(config, circuit_size=2), none) == 1 / 2
    assert sparsity_of(circuit, replace(config, circuit_size=9), none) == 0


def test_it_is_measured_every_n_steps_and_after_the_last() -> None:
    trainer = _trainer(evaluate_every=5)
    trainer.run(progress=False)
    assert [measured.step for measured in trainer.evaluations] == [5, 10, 12]
    never = _trainer(evaluate_every=None)
    never.run(progress=False)
    assert never.evaluations == []
    without_data = _trainer(validate=False, evaluate_every=1)
    without_data.run(progress=False)
    assert without_data.evaluations == []


@pytest.mark.parametrize("mask_fn", ["hard_concrete", "sigmoid"])
def test_measuring_does_not_change_the_training(mask_fn: Any) -> None:
    settings: dict[str, Any] = {"mask_fn": mask_fn, "dropout_p": 0.2}
    plain, measured = _trainer(**settings), _trainer(evaluate_every=1, **settings)
    scores = plain.run(progress=False)
    while not measured.done:
        measured.step()
        measured.evaluate()
    assert _same(measured.prune_scores, scores)
    assert [replace(r, seconds=0, processor_seconds=0) for r in measured.history] == [
        replace(r, seconds=0, processor_seconds=0) for r in plain.history
    ]


def test_the_best_is_that_of_the_lowest_objective_and_can_be_restored() -> None:
    trainer = _trainer(evaluate_every=1, regularize_lambda=0.5, epochs=8)
    scores = {}
    while not trainer.done:
        record = trainer.step()
        scores[record.step] = trainer.prune_scores
    objectives = {e.step: e.faithfulness + 0.5 * e.regularizer for e in trainer.evaluations}
    best = min(objectives, key=lambda step: objectives[step])
    assert best != trainer.step_count, "else nothing is restored"
    assert not _same(trainer.prune_scores, scores[best])
    assert trainer.restore_best().step == best
    assert trainer.best is not None
    assert trainer.best.step == best
    assert _same(trainer.prune_scores, scores[best])
    assert trainer.step_count == 24, "the history stays"


def test_a_new_lambda_counts_for_both_sides_of_the_comparison() -> None:
    large_and_faithful = HardEvaluation(1, 90, faithfulness=0.1, regularizer=0.9)
    small = HardEvaluation(2, 10, faithfulness=0.5, regularizer=0.1)
    first, second = {"theta": torch.zeros(1)}, {"theta": torch.ones(1)}

    def weighed(regularize_lambda: float) -> Callable[[HardEvaluation], float]:
        return lambda evaluation: evaluation.objective(regularize_lambda)

    best = Best().or_better(large_and_faithful, first, weighed(0.1))
    best = best.or_better(small, second, weighed(0.1))
    assert best.evaluation is large_and_faithful
    best = best.or_better(small, second, weighed(10))
    assert best.evaluation is small
    assert torch.equal(best.tensors["theta"], torch.ones(1))
    best = best.or_better(replace(small, step=3), first, weighed(10))
    assert best.evaluation is small, "on a tie the earlier one stays"


def test_a_measure_that_is_no_number_is_never_the_best() -> None:
    unsound = HardEvaluation(1, 3, float("nan"), 0.1)
    best = Best().or_better(unsound, {}, lambda evaluation: evaluation.objective())
    assert best.evaluation is None


def test_a_second_measurement_after_a_step_replaces_the_first() -> None:
    trainer = _trainer()
    trainer.step()
    assert trainer.evaluate() == trainer.evaluate()
    assert len(trainer.evaluations) == 1


def test_a_checkpoint_carries_the_measurements_and_the_best_masks() -> None:
    trainer = _trainer(evaluate_every=3, regularize_lambda=0.5)
    trainer.run(progress=False, until_step=7)
    state = copy.deepcopy(trainer.state_dict())
    resumed = _trainer(evaluate_every=3, regularize_lambda=0.5, seed=9)
    resumed.load_state_dict(state)
    for each in (trainer, resumed):
        each.run(progress=False)
        each.restore_best()
    assert resumed.evaluations == trainer.evaluations
    assert _same(resumed.prune_scores, trainer.prune_scores)


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(StateError, match="validation_dataloader"):
        _trainer(validate=False).evaluate()
    with pytest.raises(StateError, match="nothing was evaluated"):
        _trainer().restore_best()


def test_before_the_first_step_the_untrained_circuit_is_measured() -> None:
    measured = _trainer().evaluate()
    assert (measured.step, measured.edges) == (0, 0)
    assert measured.faithfulness == pytest.approx(
        _kl_of_circuit(torch.zeros(_model().n_edges), tree_optimisation=False), rel=1e-4
    )

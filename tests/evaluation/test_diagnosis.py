"""What is said of small trainings that go wrong in a known way, and of one that does not."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.utils.data import Subset

import sp_widget as sp
from sp_widget.evaluation.diagnosis import diagnose
from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.methods.base import Trainer
from tests import model_kinds


@cache
def _model() -> sp.PatchableModel:
    return sp.patchable_model(model_kinds.bridge("gpt2"))


def _train(loader: sp.PromptDataLoader, **settings: Any) -> Trainer[Any]:
    config = sp.SubnetworkProbingConfig(**{"steps": 12, "seed": 0, **settings})
    trainer = sp.SubnetworkProbing(_model(), loader, config, loader)
    trainer.run(progress=False)
    return trainer


def _evaluate(trainer: Trainer[Any], loader: sp.PromptDataLoader) -> Evaluation:
    return sp.evaluate(
        trainer.model,
        loader,
        trainer.prune_scores,
        [trainer.hard_edge_count],
        complement=False,
        random=3,
        metrics=["kl_div"],
        seed=0,
        progress=False,
    )


def _problems(trainer: Trainer[Any], **more: Any) -> list[str]:
    found = diagnose(trainer.history, n_edges=trainer.n_edges, best=trainer.best, **more)
    assert all(each["remedy"] for each in found)
    return [each["problem"] for each in found]


def test_a_training_of_which_nothing_is_left_or_everything() -> None:
    loader = model_kinds.dataloader()
    none = _train(loader, steps=30, learning_rate=0.5, regularize_lambda=1000.0)
    assert none.hard_edge_count == 0
    assert _problems(none) == [
        "No edge is left in the circuit.",
        "The best evaluation is that of no edge.",
    ]
    whole = _train(loader, start="whole_model", regularize_lambda=0.0)
    assert _problems(whole) == ["The best evaluation is that of the whole model."]


def test_masks_that_no_gradient_reaches() -> None:
    loader = model_kinds.dataloader()
    saturated = _train(loader, init_val=60.0)
    assert _problems(saturated)[0] == (
        "The masks are saturated at step 1: no gradient reaches them."
    )
    assert "saturated" not in " ".join(_problems(_train(loader)))


def test_an_ablation_that_changes_nothing() -> None:
    """Every prompt is its own corrupt prompt."""
    whole = model_kinds.dataloader()
    batch = next(iter(whole))
    same = sp.PromptDataset(batch.clean, batch.clean, batch.answers, batch.wrong_answers)
    loader = sp.PromptDataLoader(same, batch_size=2)
    trainer = _train(loader)
    found = _problems(trainer, evaluation=_evaluate(trainer, loader))
    assert any(each.startswith("The ablation changes nothing") for each in found)
    evaluation = _evaluate(trainer, whole)
    assert "changes nothing" not in " ".join(_problems(trainer, evaluation=evaluation))


def test_a_circuit_no_better_than_chance_and_one_that_is() -> None:
    task = sp.tasks.load("induction")
    few = sp.PromptDataLoader(Subset(task.test_loader.dataset, range(24)))
    config = sp.methods.get("random").Config(seed=0, circuit_size=30)
    chance = sp.methods.get("random").trainer(task.model, task.train_loader, config)
    chance.run(progress=False)
    found = _problems(chance, evaluation=_evaluate(chance, few))
    assert any("no better than random circuits" in each for each in found)

    method = sp.methods.get("mask_gradient")
    config = method.Config(circuit_size=30, evaluate_every=None)
    good = method.trainer(task.model, task.train_loader, config)
    good.run(progress=False)
    evaluation = _evaluate(good, few)
    assert _problems(good, evaluation=evaluation, on_training=evaluation) == []


def test_validation_prompts_of_another_kind_than_those_of_the_training() -> None:
    """Edges that do for one prompt do not do for others of a random model."""
    batch = next(iter(model_kinds.dataloader(batch_size=7)))

    def loader(rows: slice) -> sp.PromptDataLoader:
        parts = (batch.clean, batch.corrupt, batch.answers, batch.wrong_answers)
        assert all(isinstance(part, torch.Tensor) for part in parts)
        return sp.PromptDataLoader(sp.PromptDataset(*(part[rows] for part in parts)))  # type: ignore[arg-type]

    few, others = loader(slice(0, 1)), loader(slice(1, 7))
    settings: dict[str, Any] = {"mask_fn": "sigmoid", "tree_optimisation": True, "init_val": -1.0}
    trainer = _train(few, steps=100, learning_rate=0.2, regularize_lambda=0.1, **settings)
    on_few = _evaluate(trainer, few)
    found = _problems(trainer, evaluation=_evaluate(trainer, others), on_training=on_few)
    assert any("on the validation prompts and only" in each for each in found)
    found = _problems(trainer, evaluation=on_few, on_training=on_few)
    assert "validation prompts" not in " ".join(found)

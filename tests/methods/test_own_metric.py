"""A metric of one's own is trained with, kept, shown and evaluated by its name, like ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import sp_widget as sp
from sp_widget.circuits import metrics
from sp_widget.circuits.metrics import answer_means, kl_div
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import Trainer
from sp_widget.widget.as_code import Names, as_code
from sp_widget.widget.form import fields_for
from tests import model_kinds

METHODS: dict[str, dict[str, Any]] = {
    "subnetwork_probing": {"steps": 6},
    "acdc": {"thresholds": (0.01,)},
    "random": {},
}
"""One that needs a gradient, one that decides by the metric, one that only reports it."""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_ADDED", {})


@pytest.fixture(scope="module")
def model() -> sp.PatchableModel:
    return sp.patchable_model(model_kinds.bridge("native-attention-only"))


def trainer(model: sp.PatchableModel, target: str, name: str) -> Trainer[Any]:
    method, loader = sp.methods.get(name), model_kinds.dataloader()
    config = replace(
        method.first_config(model, loader),
        seed=0,
        evaluate_every=2,
        faithfulness_target=target,
        **METHODS[name],
    )
    return method.trainer(model, loader, config, model_kinds.dataloader(2, 4))


def course(trained: Trainer[Any]) -> list[Any]:
    """All that was recorded but how long it took."""
    records = [replace(record, seconds=0, processor_seconds=0) for record in trained.history]
    return [records, trained.evaluations]


def test_a_copy_of_the_kl_divergence_trains_bit_for_bit_like_it(model: sp.PatchableModel) -> None:
    sp.register_metric("copied", kl_div)
    for name in METHODS:
        ours, own = (trainer(model, target, name) for target in ("kl_div", "copied"))
        expected, found = ours.run(progress=False), own.run(progress=False)
        assert all(torch.equal(found[place], expected[place]) for place in expected)
        assert course(own) == course(ours)


def test_one_number_for_each_prompt_is_the_mean_of_them(model: sp.PatchableModel) -> None:
    def by_prompt(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
        return -answer_means(logits, batch.answers)

    sp.register_metric("by_prompt", by_prompt)
    ours, own = (trainer(model, name, "subnetwork_probing") for name in ("answer", "by_prompt"))
    ours.step()
    own.step()
    assert course(own) == course(ours)
    found = sp.evaluate(
        model,
        model_kinds.dataloader(),
        model.new_prune_scores(),
        sizes=[3],
        complement=False,
        random=0,
        metrics=["by_prompt", metrics.answer],
        progress=False,
    )
    answers = dict(found.curve("answer"))
    assert dict(found.curve("by_prompt")) == pytest.approx(answers, rel=1e-5)


def test_the_name_stands_in_panel_code_and_folder_and_has_to_be_known_to_go_on(
    model: sp.PatchableModel, tmp_path: Path
) -> None:
    sp.register_metric("copied", kl_div)
    half = trainer(model, "copied", "subnetwork_probing")
    half.run(progress=False, until_step=3)
    half.save(tmp_path)
    (field,) = (each for each in fields_for(half.config) if each["name"] == "faithfulness_target")
    assert field["value"] == "copied"
    assert field["options"][-1] == {"value": "copied", "label": "copied"}
    assert "# After sp.register_metric('copied', ...).\n" in as_code(half.config, Names())

    loaders = (model_kinds.dataloader(), model_kinds.dataloader(2, 4))
    went_on = Trainer.load(tmp_path, model, *loaders)
    whole = trainer(model, "copied", "subnetwork_probing")
    expected, found = whole.run(progress=False), went_on.run(progress=False)
    assert all(torch.equal(found[place], expected[place]) for place in expected)

    metrics._ADDED.clear()
    with pytest.raises(ArgumentError, match=r"or a metric of your own after sp\.register_metric"):
        Trainer.load(tmp_path, model, *loaders)
    with pytest.raises(ArgumentError, match="faithfulness_target: wanted one of"):
        sp.SubnetworkProbingConfig(faithfulness_target="copied")


def not_differentiable(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
    return (logits.argmax(-1) == clean_logits.argmax(-1)).float()


def square_root(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
    # Finite at zero, with an infinite slope.
    return (logits - logits.detach()).abs().sqrt().sum(-1)


def by_token(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Tensor:
    return logits - clean_logits


def no_tensor(logits: Tensor, clean_logits: Tensor, batch: sp.PromptPairBatch) -> Any:
    return 1.0


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (not_differentiable, "to have a finite gradient with respect to the logits, got 'none"),
        (square_root, "to have a finite gradient .*, got 'NaN or infinity for 150 of 150 logits"),
        (by_token, r"one for each of the 3 prompts .*, got 'torch.float32 of shape \(3, 50\)"),
        (no_tensor, "a tensor of one number, .*, got <class 'float'>"),
    ],
)
def test_what_cannot_be_trained_with_is_told_at_the_first_step(
    model: sp.PatchableModel, metric: Callable[..., Any], reason: str
) -> None:
    name = metric.__name__
    sp.register_metric(name, metric)
    training = trainer(model, name, "subnetwork_probing")
    # So that nothing is measured before.
    training.config = replace(training.config, lambda_unit="target")
    with pytest.raises(ArgumentError, match=rf"^faithfulness_target: wanted {name} .*{reason}"):
        training.step()
    assert training.step_count == 0


def test_a_name_is_an_identifier_of_ones_own() -> None:
    for name in ("kl_div", "answer", "logit_diff_share", "", "two words", "x" * 101, 3, None):
        with pytest.raises(ArgumentError, match=r"^name: wanted"):
            sp.register_metric(name, kl_div)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"^metric: wanted a function"):
        sp.register_metric("number", 3)  # type: ignore[arg-type]
    sp.register_metric("again", kl_div)
    sp.register_metric("again", by_token)
    assert metrics.added_metrics() == {"again": by_token}

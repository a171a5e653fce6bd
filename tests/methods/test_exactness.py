"""What every method promises of its run: it repeats, resumes and survives interrupts bit by bit."""

from __future__ import annotations

import copy
import io
import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from sp_widget import methods
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.base import Trainer
from tests import model_kinds
from tests.methods.interrupting import counting

PLACES = {"subnetwork_probing": 30, "acdc": 4}
"""Interrupts that are tried of a method; of the others, 8."""

CHANGES: dict[str, dict[str, Any]] = {
    "subnetwork_probing": {"steps": 3, "dropout_p": 0.1, "learning_rate": 0.5},
    "learned_ranking": {"steps": 3},
    "edge_pruning": {"steps": 3},
    "uniform_gradient_sampling": {"steps": 3},
    "acdc": {"thresholds": (0.01, 0.1)},
}
"""What makes the runs short, and everything in them random."""


@cache
def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("native-attention-only"))


def trainer_of(name: str, **changes: Any) -> Trainer[Any]:
    """A trainer of three batches and two of validation, measured after every step."""
    method = methods.get(name)
    if name == "ground_truth":
        edges = sorted(_model().edges, key=str)[:5]
        changes = {"official_edges": frozenset(edges), **changes}
    settings = {"seed": 3, "evaluate_every": 1, **CHANGES.get(name, {}), **changes}
    config = replace(method.first_config(_model(), model_kinds.dataloader()), **settings)
    return method.trainer(_model(), model_kinds.dataloader(), config, model_kinds.dataloader(2, 4))


def moment(trainer: Trainer[Any]) -> dict[str, Any]:
    """All of a trainer but how long its steps took."""
    state = trainer.state_dict()
    for record in state["history"]:
        record["seconds"] = record["processor_seconds"] = 0
    return state


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bool((_bits(a) == _bits(b)).all())
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def _bits(value: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: NaN stands for "not measured" in some, and is no number's equal."""
    return value.detach().contiguous().view(-1).view(torch.uint8)


@cache
def course(name: str) -> list[dict[str, Any]]:
    """The moments of an undisturbed run: before the first step and after each."""
    trainer = trainer_of(name)
    moments = [moment(trainer)]
    while not trainer.done:
        trainer.step()
        moments.append(moment(trainer))
    return moments


@pytest.mark.parametrize("name", methods.names())
def test_a_run_repeats_bit_by_bit(name: str) -> None:
    trainer = trainer_of(name)
    trainer.run(progress=False)
    assert same(moment(trainer), course(name)[-1])


@pytest.mark.parametrize("name", methods.names())
def test_a_run_goes_on_from_a_checkpoint_of_any_step(name: str) -> None:
    moments = course(name)
    for taken in {0, 1, len(moments) // 2, len(moments) - 1}:
        stored = io.BytesIO()
        torch.save(moments[taken], stored)
        stored.seek(0)
        other = trainer_of(name, seed=99)
        if not other.done:
            other.step()
        other.load_state_dict(torch.load(stored, weights_only=True))
        assert same(moment(other), moments[taken])
        other.run(progress=False)
        assert same(moment(other), moments[-1])


@pytest.mark.parametrize("name", methods.names())
def test_a_run_goes_on_after_an_interrupt_at_any_bytecode(name: str) -> None:
    """A step happened wholly or not at all, and the end is that of an undisturbed run."""
    moments = course(name)
    with counting() as count:
        trainer_of(name).run(progress=False)
    bytecodes = count()
    chance = random.Random(name)
    for place in sorted(chance.sample(range(1, bytecodes), PLACES.get(name, 8))):
        trainer: Trainer[Any] | None = None
        try:
            with counting(at=place):
                trainer = trainer_of(name)
                trainer.run(progress=False)
        except KeyboardInterrupt:
            if trainer is None:
                continue  # before there was anything
        assert trainer is not None
        done = trainer.step_count
        assert same(moment(trainer)["tensors"], moments[done]["tensors"]), place
        assert same(moment(trainer)["history"], moments[done]["history"]), place
        trainer.run(progress=False)
        assert same(moment(trainer), moments[-1]), place


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RuntimeError])
@pytest.mark.parametrize("where", ["engine.run", "optimizer.step", "after_update", "callback"])
def test_a_run_goes_on_after_an_error_within_a_step(
    where: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = course("subnetwork_probing")
    trainer = trainer_of("subnetwork_probing")
    trainer.step()

    def failing(*arguments: Any, **settings: Any) -> None:
        raise error("here")

    def step() -> None:
        with pytest.raises(error, match="here"):
            trainer.step()

    with monkeypatch.context() as patch:
        if where == "callback":
            trainer.callbacks.append(failing)
        elif where == "after_update":
            patch.setattr(trainer, "after_update", failing)
        else:
            owner, name = where.split(".")
            holder = trainer.model.engine if owner == "engine" else trainer.optimizer
            patch.setattr(holder, name, failing)
        step()
    trainer.callbacks.clear()
    done = 2 if where == "callback" else 1
    assert same(moment(trainer), moments[done])
    trainer.run(progress=False)
    assert same(moment(trainer), moments[-1])


def _foreign_states() -> dict[str, Any]:
    """Name of what is wrong to a state that must be refused."""
    good = course("subnetwork_probing")[2]

    def but(*path: Any, value: Any) -> dict[str, Any]:
        state = copy.deepcopy(good)
        here: Any = state
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = value
        return state

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in good.items() if key != name}

    theta = good["tensors"]["theta"]
    nan = theta.clone()
    nan[3] = float("nan")
    record = good["history"][1]
    states: dict[str, Any] = {
        "no state": None,
        "a list": [good],
        "nothing": {},
        "one part more": {**good, "more": 1},
        "a seed that is text": but("seed", value="3"),
        "a negative seed": but("seed", value=-1),
        "a live setting out of bounds": but("config", "learning_rate", value=-1.0),
        "a live setting too many": but("config", "epochs", value=5),
        "a live setting missing": but("config", value={"learning_rate": 0.1}),
        "masks of another size": but("tensors", "theta", value=theta[:-1]),
        "masks of another type": but("tensors", "theta", value=theta.double()),
        "masks that are a list": but("tensors", "theta", value=theta.tolist()),
        "a mask that is NaN": but("tensors", "theta", value=nan),
        "another optimizer": but("tensors", "optimizer.0.velocity", value=theta),
        "best masks of another size": but("best_tensors", "theta", value=theta[:-1]),
        "no best masks": but("best_tensors", value={}),
        "best masks of no evaluation": but("best", value=None),
        "an evaluation of a step to come": but("evaluations", 0, "step", value=50),
        "evaluations out of order": but("evaluations", value=good["evaluations"][::-1]),
        "an evaluation without its edges": but("evaluations", 0, value={"step": 1}),
        "a history with a gap": but("history", value=[record]),
        "a history twice as long": but("history", value=good["history"] * 2),
        "a history of words": but("history", value=["a", "b"]),
        "a loss that is text": but("history", 1, "loss", value="low"),
        "more edges than there are": but("history", 1, "hard_edge_count", value=10**6),
        "another method": course("learned_ranking")[2],
        "made with nothing": but("made_with", value={}),
    }
    for name in good:
        states[f"no {name}"] = without(name)
    for name in good["made_with"]:
        states[f"another {name}"] = but("made_with", name, value="something else")
    return states


@pytest.mark.parametrize("what", _foreign_states())
def test_a_foreign_state_is_refused_and_leaves_everything_as_it_was(what: str) -> None:
    trainer = trainer_of("subnetwork_probing")
    trainer.step()
    config, seed = trainer.config, trainer.seed
    with pytest.raises(ValueError, match=r"^(state|made_with): wanted") as error:
        trainer.load_state_dict(_foreign_states()[what])
    assert len(str(error.value)) < 2000
    assert same(moment(trainer), course("subnetwork_probing")[1])
    assert (trainer.config, trainer.seed) == (config, seed)
    trainer.run(progress=False)
    assert same(moment(trainer), course("subnetwork_probing")[-1])


def test_what_a_state_was_made_with_tells_models_and_data_apart() -> None:
    method = methods.get("subnetwork_probing")
    loader = model_kinds.dataloader()
    one = method.trainer(_model(), loader)
    bridge = model_kinds.bridge.__wrapped__("native-attention-only")
    assert one.made_with == method.trainer(patchable_model(bridge), loader).made_with

    def differs_in(other: Trainer[Any]) -> set[str]:
        return {name for name in one.made_with if one.made_with[name] != other.made_with[name]}

    with torch.no_grad():
        next(bridge.parameters()).add_(1e-3)
    assert differs_in(method.trainer(patchable_model(bridge), loader)) == {"model's weights"}
    unseparated = patchable_model(model_kinds.bridge("native-attention-only"), separate_qkv=False)
    assert differs_in(method.trainer(unseparated, loader)) == {"model's edges"}
    other_batches = model_kinds.dataloader(batch_size=2)
    assert differs_in(method.trainer(_model(), other_batches)) == {"dataloader"}
    validated = method.trainer(_model(), loader, None, loader)
    assert differs_in(validated) == {"validation_dataloader"}
    config = replace(one.config, dropout_p=0.1, learning_rate=0.3, seed=5)
    assert differs_in(method.trainer(_model(), loader, config)) == {"config.dropout_p"}


def test_run_warns_once_of_validation_that_is_not_finite() -> None:
    trainer: Any = trainer_of("subnetwork_probing", steps=6)
    for _ in trainer.preparation():
        pass
    faithfulness = trainer.faithfulness

    def nan_of_validation(logits: Any, here: Any) -> Any:
        value = faithfulness(logits, here)
        return value * float("nan") if here is trainer.validation_batches[1] else value

    trainer.faithfulness = nan_of_validation
    with pytest.warns(UserWarning, match=r"validation data gave NaN .* at step 1,") as caught:
        trainer.run(progress=False)
    assert [warning.filename for warning in caught] == [__file__]
    assert trainer.done

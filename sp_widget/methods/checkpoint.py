"""Reading the state of a trainer: wholly right, or refused with what differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from sp_widget.errors import ArgumentError
from sp_widget.methods.best import Best
from sp_widget.methods.parameter import parameters
from sp_widget.methods.record import HardEvaluation, StepRecord

ConfigT = TypeVar("ConfigT")

KEYS = (
    "made_with",
    "seed",
    "config",
    "tensors",
    "history",
    "evaluations",
    "best",
    "best_tensors",
)
"""What a state holds."""


@dataclass(frozen=True)
class State(Generic[ConfigT]):
    """A state that was read and found right."""

    config: ConfigT
    seed: int
    tensors: Mapping[str, Tensor]
    history: list[StepRecord]
    evaluations: list[HardEvaluation]
    best: Best


def read_state(
    state: object,
    *,
    made_with: Mapping[str, str],
    config: ConfigT,
    tensors: Mapping[str, Tensor],
    kept_of_best: Collection[str],
    n_steps: int,
    n_edges: int,
) -> State[ConfigT]:
    """Return what `Trainer.state_dict` wrote, for a trainer with these properties.

    Args:
        made_with: what must be the same, such as fingerprints of model and data.
        config: of the trainer; the live settings come from the state.
        tensors: those of the trainer, for their names, shapes and types.
        kept_of_best: names of those that the best evaluation keeps.

    Raises `ArgumentError` that says what differs. Changes nothing.
    """
    parts = _mapping("state", state, KEYS)
    theirs = _mapping("made_with", parts["made_with"], made_with)
    for name, wanted in made_with.items():
        if theirs[name] != wanted:
            raise ArgumentError("state", f"one with {name} {wanted}", theirs[name])
    seed = parts["seed"]
    _require(_is_whole(seed, 2**63 - 1), "a seed", seed)
    history = history_from(parts["history"], n_steps, n_edges)
    evaluations = [
        evaluation_from(each, len(history), n_edges) for each in _list(parts, "evaluations")
    ]
    steps = [each.step for each in evaluations]
    _require(steps == sorted(set(steps)), "evaluations in the order of their steps", steps)
    best = None if parts["best"] is None else evaluation_from(parts["best"], len(history), n_edges)
    kept = {name: tensors[name] for name in kept_of_best} if best else {}
    return State(
        config=_config(config, parts["config"]),
        seed=seed,
        tensors=_tensors("tensors", parts["tensors"], tensors, whole=tensors.keys() - kept_of_best),
        history=history,
        evaluations=evaluations,
        best=Best(best, _tensors("best_tensors", parts["best_tensors"], kept)),
    )


def _config(config: ConfigT, values: object) -> ConfigT:
    live = {name: each for name, each in parameters(config).items() if each.live}
    settings = _mapping("config", values, live)
    for name, each in live.items():
        try:
            each.check(name, settings[name])
        except ArgumentError as error:
            raise ArgumentError("state", f"{name}: {each.wanted}", settings[name]) from error
    return replace(config, **settings)  # type: ignore[type-var]


def _tensors(
    part: str, values: object, wanted: Mapping[str, Tensor], whole: Collection[str] = ()
) -> dict[str, Tensor]:
    found = _mapping(part, values, wanted)
    for name, model in wanted.items():
        value = found[name]
        like = f"{model.dtype} of shape {tuple(model.shape)}"
        _require(isinstance(value, Tensor), f"{part}[{name!r}]: {like}", type(value))
        got = f"{value.dtype} of shape {tuple(value.shape)}"
        _require(got == like, f"{part}[{name!r}]: {like}", got)
        # Of what is trained, and of its optimizer; elsewhere NaN may stand for "not measured".
        sound = not ((model.requires_grad or name in whole) and torch.isnan(value).any())
        _require(sound, f"{part}[{name!r}]: no NaN", "NaN")
    return {name: value.detach().clone() for name, value in found.items()}


def history_from(values: object, n_steps: int, n_edges: int) -> list[StepRecord]:
    """Return records that `StepRecord.to_dict` wrote, oldest first.

    Raises `ArgumentError` for anything else.
    """
    _require(isinstance(values, list), "a history", type(values))
    assert isinstance(values, list)
    _require(len(values) <= n_steps, f"at most {n_steps} steps", len(values))
    return [_record(each, step, n_edges) for step, each in enumerate(values, start=1)]


def _record(values: object, step: int, n_edges: int) -> StepRecord:
    where = f"history: a record of step {step}"
    required = {"step", "epoch", "loss", "hard_edge_count", "seconds"}
    is_record = isinstance(values, Mapping) and required <= values.keys()
    _require(is_record, where, values if isinstance(values, Mapping) else type(values))
    assert isinstance(values, Mapping)
    for name, value in values.items():
        good = _is_number(value) or (name.startswith("validation") and value is None)
        _require(isinstance(name, str) and good, f"{where}, numbers by name", (name, value))
    _require(values["step"] == step, where, values["step"])
    for name, most in (("epoch", step), ("hard_edge_count", n_edges)):
        _require(_is_whole(values[name], most), f"{where}, {name} up to {most}", values[name])
    return StepRecord.from_dict(values)


def evaluation_from(values: object, steps_done: int, n_edges: int) -> HardEvaluation:
    """Return what `HardEvaluation.to_dict` wrote. Raises `ArgumentError` for anything else."""
    names = [field.name for field in fields(HardEvaluation)]
    found = _mapping("evaluations", values, names)
    for name, most in (("step", steps_done), ("edges", n_edges)):
        _require(_is_whole(found[name], most), f"an evaluation's {name} up to {most}", found[name])
    for name in names:
        _require(_is_number(found[name]), f"a number as an evaluation's {name}", found[name])
    return HardEvaluation(**found)


def _mapping(part: str, value: object, names: Collection[str]) -> Mapping[str, Any]:
    """Return `value` if it is a mapping with exactly these keys."""
    wanted = f"{part} with {sorted(names)}"
    _require(isinstance(value, Mapping), wanted, type(value))
    assert isinstance(value, Mapping)
    _require(set(value) == set(names), wanted, sorted(map(str, value)))
    return value


def _list(parts: Mapping[str, Any], name: str) -> list[Any]:
    value = parts[name]
    _require(isinstance(value, list), f"a list of {name}", type(value))
    return list(value)


def _require(good: bool | Tensor, wanted: str, got: object) -> None:
    if not good:
        raise ArgumentError("state", wanted, got)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most

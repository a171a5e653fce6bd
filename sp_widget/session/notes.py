"""What a session keeps with the checkpoint of a run, beside what its trainer knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sp_widget.errors import ArgumentError
from sp_widget.methods.base import Trainer
from sp_widget.methods.parameter import parameters
from sp_widget.session.state import Intervention


def notes_of(interventions: Sequence[Intervention], threads: int | None) -> dict[str, Any]:
    """Return as JSON what was done to a run, and how many threads it uses."""
    return {"interventions": [asdict(each) for each in interventions], "threads": threads}


def read_notes(
    notes: Mapping[str, Any], trainer: Trainer[Any]
) -> tuple[tuple[Intervention, ...], int | None]:
    """Return interventions and threads that `notes_of` wrote.

    A run that was saved without a session has none. Raises `ArgumentError` for anything else.
    """
    found, threads = notes.get("interventions", []), notes.get("threads")
    if not isinstance(found, list):
        raise ArgumentError("folder", "a list of interventions", type(found))
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError("folder", "a number of threads, or none", threads)
    return tuple(_intervention(each, trainer) for each in found), threads


def _intervention(value: object, trainer: Trainer[Any]) -> Intervention:
    names = {"step", "action", "value"}
    if isinstance(value, dict) and value.keys() == names:
        step, action, number = value["step"], value["action"], value["value"]
        at_a_step = type(step) is int and 0 <= step <= trainer.step_count
        if at_a_step and action in ("evaluate", "restore_best") and number is None:
            return Intervention(step, action)
        is_number = type(number) in (int, float) and math.isfinite(number)
        if at_a_step and is_number and action in ("threads", *_live(trainer)):
            return Intervention(step, action, number)
    raise ArgumentError("folder", "interventions: step, action and value", value)


def _live(trainer: Trainer[Any]) -> list[str]:
    return [name for name, each in parameters(trainer.config).items() if each.live]

"""What a session keeps with the checkpoint of a run, beside what its trainer knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sp_widget.errors import ArgumentError
from sp_widget.session.state import Intervention


def notes_of(interventions: Sequence[Intervention], threads: int | None) -> dict[str, Any]:
    """Return as JSON what was done to a run, and how many threads it uses."""
    return {"interventions": [asdict(each) for each in interventions], "threads": threads}


def read_notes(
    notes: Mapping[str, Any], steps_done: int
) -> tuple[tuple[Intervention, ...], int | None]:
    """Return interventions and threads that `notes_of` wrote.

    A run that was saved without a session has none. Raises `ArgumentError` for anything else.
    """
    found, threads = notes.get("interventions", []), notes.get("threads")
    if not isinstance(found, list):
        raise ArgumentError("folder", "a list of interventions", type(found))
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError("folder", "a number of threads, or none", threads)
    return tuple(_intervention(each, steps_done) for each in found), threads


def _intervention(value: object, steps_done: int) -> Intervention:
    good = isinstance(value, dict) and value.keys() == {"step", "action", "value"}
    if isinstance(value, dict) and good:
        step, action, number = value["step"], value["action"], value["value"]
        is_number = type(number) in (int, float) and math.isfinite(number)
        at_a_step = type(step) is int and 0 <= step <= steps_done
        if at_a_step and isinstance(action, str) and (number is None or is_number):
            return Intervention(step, action, number)
    raise ArgumentError("folder", "interventions: step, action and value", value)

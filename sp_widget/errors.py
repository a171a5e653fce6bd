"""Errors that name the argument, what was wanted and what came."""

from __future__ import annotations

import reprlib
from collections.abc import Collection
from enum import Enum
from typing import Any

_LONGEST = 200
"""Letters of a value that are shown: what came may be of any size."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _LONGEST
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 12


def shown(value: object) -> str:
    """Return a value as Python writes it, cut where it is long."""
    try:
        text = _short.repr(value)
    except Exception:
        # An integer of more digits than Python writes; or a `__repr__` of somebody else's.
        text = f"a value of type {type(value).__name__} that cannot be written"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def require_switches(**switches: object) -> None:
    """Raise `ArgumentError` for the first argument that is neither `True` nor `False`."""
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise ArgumentError(name, "True or False", value)


def require_word(argument: str, value: object, words: Collection[str]) -> None:
    """Raise `ArgumentError` unless `value` is one of these words."""
    # Not by `in` alone: an array would be compared element by element.
    if not isinstance(value, str) or value not in words:
        raise ArgumentError(argument, f"one of {', '.join(map(repr, words))}", value)


def require_member(argument: str, value: object, kind: type[Enum]) -> None:
    """Raise `ArgumentError` unless `value` is a member of an enumeration."""
    if not isinstance(value, kind):
        raise ArgumentError(argument, f"a member of {kind.__name__}", value)


class ArgumentError(ValueError):
    """A bad argument.

    The message reads "<argument>: wanted <wanted>, got <value>", the value cut where it is long.
    `argument` is the name of the offending parameter, so that a panel can show `reason` beside its
    field.
    """

    def __init__(self, argument: str, wanted: str, got: Any) -> None:
        self.argument, self.wanted, self.got = argument, wanted, got
        self.reason = f"wanted {wanted}, got {shown(got)}"
        super().__init__(f"{argument}: {self.reason}")


class UnsupportedModelError(ValueError):
    """A model whose computation this package cannot reproduce node by node."""


class NonFiniteLossError(FloatingPointError):
    """The loss became NaN or infinite; the masks were left as they were before the step."""


class ModelChangedError(RuntimeError):
    """A model that is not what it was when `patchable_model` read it; `changed` names what."""

    def __init__(self, changed: list[str]) -> None:
        self.changed = changed
        shown = ", ".join(changed[:5]) + (" …" if len(changed) > 5 else "")
        super().__init__(
            f"the model has changed since it was made patchable ({shown}): its projections would "
            "be the old ones, other weights the new ones. Call patchable_model(model) again."
        )


class StateError(RuntimeError):
    """An action that the current state does not allow, such as resuming what never started."""


class ModelCheckError(AssertionError):
    """A model on which an invariant of edge patching does not hold; `check` has the numbers."""

    def __init__(self, check: Any) -> None:
        self.check = check
        super().__init__(f"{', '.join(check.failures)} not within tolerance: {check}")

"""What a field of a method's config knows of itself: label, help, bounds, choices.

A config is a frozen dataclass whose fields are made by `number`, `whole_number`, `numbers`,
`choice`, `switch` and `from_code`. The same description validates a value, labels it in the panel
and explains it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from sp_widget.errors import ArgumentError

Kind = Literal["number", "integer", "numbers", "select", "checkbox", "code"]
"""`code`: no field in the panel; the value is given from Python."""

Group = Literal["main", "more"]
"""`more`: under the heading "More settings"."""

_KEY = "parameter"

LARGEST = 1e30
"""Beyond it a number does not fit into the 32 bits that masks are trained with."""

MOST_NUMBERS = 1000
"""In a list."""

SMALLEST = 1e-30
"""A positive number below it is zero in 32 bits."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """The description of one field of a config."""

    kind: Kind
    label: str
    help: str
    describe: Callable[[], str]
    """Returns what a good value is, in words, for an error."""
    accept: Callable[[Any], bool]
    """Whether a value of the right type is good."""
    choices: Callable[[], Mapping[Any, str]] = dict
    """Returns value and label of each choice: of some, more may be added."""
    optional: bool = False
    """Whether `None` is a value; the panel shows it as an empty field."""
    placeholder: str = ""
    """What an empty field stands for."""
    minimum: float | None = None
    maximum: float | None = None
    step: float = 0.0
    """What an arrow key adds or takes away; 0: it goes through 1, 2, 5, 10, 20 ..."""
    unit: str = ""
    live: bool = False
    """Whether a change takes effect while the training runs, from the next step."""
    group: Group = "main"
    section: str = "Masks and loss"
    """The heading of docs/method.md that says more."""
    needs_validation: bool = False
    """Whether it does something only where there is validation data."""

    @property
    def wanted(self) -> str:
        """What a good value is, in words, for an error."""
        return self.describe()

    @property
    def options(self) -> tuple[tuple[Any, str], ...]:
        """Value and label of each choice."""
        return tuple(self.choices().items())

    def check(self, name: str, value: Any) -> None:
        """Raise `ArgumentError` that names the field unless `value` is good for it."""
        if value is None and self.optional:
            return
        if not self.accept(value):
            raise ArgumentError(name, self.wanted, value)

    def text(self, value: Any) -> str:
        """Return a value as a person reads it."""
        if self.kind == "select":
            return next(label for option, label in self.options if option == value)
        if value is None:
            return self.placeholder
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, tuple):
            return ", ".join(f"{each:.6g}" for each in value)
        if isinstance(value, float):
            return f"{value:.6g}"
        return f"{len(value)} edges" if isinstance(value, frozenset) else str(value)


def parameters(config: Any) -> dict[str, Parameter]:
    """Return the parameters of a config or its class by field name, in order."""
    return {field.name: field.metadata[_KEY] for field in dataclasses.fields(config)}


def number(
    default: float | None,
    label: str,
    help: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float = LARGEST,
    below: float | None = None,
    optional: str = "",
    **more: Any,
) -> Any:
    """Make a field for a number. `optional`: what `None` stands for; empty: it is no value."""
    low = above if at_least is None else at_least
    bound = []
    if low is not None:
        bound.append(f"{'above' if at_least is None else 'of at least'} {low:g}")
    bound.append(f"at most {at_most:g}" if below is None else f"below {below:g}")

    def accept(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not _is_finite(value) or 0 < abs(value) < SMALLEST:
            return False
        high_enough = True
        if low is not None:
            high_enough = value > low if at_least is None else value >= low
        return high_enough and abs(value) <= at_most and (below is None or value < below)

    return _field(
        default,
        kind="number",
        label=label,
        help=help,
        wanted=_or_none(f"a number {', '.join(bound)}", optional),
        accept=accept,
        minimum=low,
        maximum=at_most if below is None else below,
        optional=bool(optional),
        placeholder=optional,
        **more,
    )


def whole_number(
    default: int | None,
    label: str,
    help: str,
    *,
    at_least: int = 1,
    at_most: int = 2**53,
    optional: str = "",
    **more: Any,
) -> Any:
    """Make a field for a whole number. `optional` as for `number`."""

    def accept(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and at_least <= value <= at_most

    return _field(
        default,
        kind="integer",
        label=label,
        help=help,
        wanted=_or_none(f"a whole number of at least {at_least}, at most {at_most}", optional),
        accept=accept,
        minimum=at_least,
        maximum=at_most,
        optional=bool(optional),
        placeholder=optional,
        **{"step": 1.0, **more},
    )


def numbers(default: tuple[float, ...], label: str, help: str, *, above: float, **more: Any) -> Any:
    """Make a field for a list of numbers, given as a tuple."""

    def accept(value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and 0 < len(value) <= MOST_NUMBERS
            and all(
                isinstance(each, int | float)
                and not isinstance(each, bool)
                and _is_finite(each)
                and above < each <= LARGEST
                for each in value
            )
        )

    return _field(
        default,
        kind="numbers",
        label=label,
        help=help,
        wanted=f"a tuple of 1 to {MOST_NUMBERS} numbers above {above:g}",
        accept=accept,
        **more,
    )


def choice(
    default: Any,
    label: str,
    help: str,
    options: Mapping[Any, str] | Sequence[Any] | Callable[[], Mapping[Any, str]],
    *,
    otherwise: str = "",
    **more: Any,
) -> Any:
    """Make a field for one of several values, given with their labels.

    `options`: a function returns them where some may be added; `otherwise` says how, in an error.
    """

    def choices() -> Mapping[Any, str]:
        if callable(options):
            return options()
        return options if isinstance(options, Mapping) else {o: str(o) for o in options}

    def accept(value: Any) -> bool:
        return any(value is option or _is_same(value, option) for option in choices())

    return _field(
        default,
        kind="select",
        label=label,
        help=help,
        wanted=lambda: f"one of {list(choices())}{otherwise}",
        accept=accept,
        choices=choices,
        **more,
    )


def switch(default: bool, label: str, help: str, **more: Any) -> Any:
    """Make a field for something that is on or off."""
    return _field(
        default,
        kind="checkbox",
        label=label,
        help=help,
        wanted="True or False",
        accept=lambda value: isinstance(value, bool),
        **more,
    )


def from_code(
    default: Any, label: str, help: str, wanted: str, accept: Callable[[Any], bool]
) -> Any:
    """Make a field that the panel does not show."""
    return _field(default, kind="code", label=label, help=help, wanted=wanted, accept=accept)


def _field(default: Any, *, wanted: str | Callable[[], str], **description: Any) -> Any:
    describe = wanted if callable(wanted) else lambda: wanted
    parameter = Parameter(describe=describe, **description)
    return dataclasses.field(default=default, metadata={_KEY: parameter})


def _or_none(wanted: str, optional: str) -> str:
    return f"None ({optional}) or {wanted}" if optional else wanted


def _is_same(value: Any, option: Any) -> bool:
    # An array compared with a word is an array: whatever is not of the option's type is not it.
    if isinstance(option, str | Enum):
        return type(value) is type(option) and bool(value == option)
    return False


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # An int beyond the largest float.
        return False

"""The settings as a form: what the panel shows for each, and what its text means.

Both directions are pure functions of a method's config: `fields_for` and `values_for` turn it into
what the browser shows, `parse_values` turns what a person typed into typed Python values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypedDict

from sp_widget.errors import ArgumentError
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.parameter import Group, Kind, Parameter, parameters

NO_VALIDATION = "There is no validation data: pass validation_dataloader to the widget."

_MAX_DIGITS = 30
"""More digits than any whole number in a config needs; "1e999999999" would not fit in memory."""

Raw = str | bool
"""What the browser holds for a field: text, or the state of a checkbox."""


class Option(TypedDict):
    """One choice of a select field."""

    value: str
    label: str


class Field(TypedDict):
    """One setting as the panel shows it."""

    name: str
    """The field's name in the config."""
    label: str
    kind: Kind
    value: Raw
    """The value in the config that the form was made from."""
    options: list[Option]
    """The choices of a select field, otherwise empty."""
    optional: bool
    """Whether the field may be left empty."""
    placeholder: str
    """What an empty field stands for."""
    help: str
    section: str
    """The heading of docs/method.md that says more."""
    min: float | None
    max: float | None
    step: float
    """What an arrow key adds or takes away; 0: it goes through 1, 2, 5, 10, 20 ..."""
    live: bool
    """Whether a change takes effect while the training runs, from the next step."""
    group: Group
    """`more`: under the heading "More settings"."""
    unavailable: str
    """Why the field cannot be used at all; empty: it can."""


def fields_for(config: MethodConfig, *, validation: bool = True) -> list[Field]:
    """Return the panel's fields in display order, holding the values of `config`.

    `validation`: whether there is validation data.
    """
    return [
        Field(
            name=name,
            label=each.label,
            kind=each.kind,
            value=_raw(each, getattr(config, name)),
            options=[Option(value=_text(value), label=label) for value, label in each.options],
            optional=each.optional,
            placeholder=each.placeholder,
            help=each.help,
            section=each.section,
            min=each.minimum,
            max=each.maximum,
            step=each.step,
            live=each.live,
            group=each.group,
            unavailable=NO_VALIDATION if each.needs_validation and not validation else "",
        )
        for name, each in _shown(config).items()
    ]


def values_for(config: MethodConfig) -> dict[str, Raw]:
    """Return the values of `config` as the browser holds them, by field name.

    Text that `parse_values` turns back into exactly the same values.
    """
    return {name: _raw(each, getattr(config, name)) for name, each in _shown(config).items()}


def parse_values(
    Config: type[MethodConfig], raw: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a person typed as typed values for a config, and what is wrong with the rest.

    Numbers may be written as `0.001` or `1e-3`; an empty optional field is `None`. Every name in
    `raw` is in one of the two. A name without a field is a problem.
    """
    parsed: dict[str, Any] = {}
    problems: dict[str, str] = {}
    shown = _shown(Config)
    for name, value in raw.items():
        try:
            if name not in shown:
                raise ArgumentError(name, f"one of {sorted(shown)}", name)
            parsed[name] = _parse(name, shown[name], value)
        except ArgumentError as error:
            problems[name] = error.reason
    problems |= Config.problems(parsed)
    return {name: value for name, value in parsed.items() if name not in problems}, problems


@dataclass(frozen=True)
class Form:
    """What the fields hold, and the config that they stand for. An edit gives another form."""

    config: MethodConfig
    """A field with a problem has its last good value here."""
    values: Mapping[str, Raw]
    """What each field shows: good values in their canonical spelling, bad ones as typed."""
    problems: Mapping[str, str]
    """Field name to what is wrong with it."""

    @classmethod
    def of(cls, config: MethodConfig) -> Form:
        """Return the form that shows `config`."""
        return cls(config, values_for(config), {})

    def edited(self, values: Mapping[str, Any], *, under_way: bool) -> Form:
        """Return the form after a person changed `values` (field name to text or checkbox).

        While a run is under way only the live settings can change; the others go back.
        """
        known = parameters(self.config)
        taken = {
            name: value
            for name, value in values.items()
            if not under_way or (name in known and known[name].live)
        }
        parsed, problems = parse_values(type(self.config), {**self.values, **taken})
        config = replace(self.config, **parsed)
        shown = values_for(config)
        for name in problems:
            if name in shown and name in taken:
                shown[name] = taken[name]
        return Form(config, shown, problems)

    def with_problem(self, name: str, reason: str) -> Form:
        """Return the same form with a problem that only the start could find."""
        return replace(self, problems={**self.problems, name: reason})


def _shown(config: Any) -> dict[str, Parameter]:
    return {name: each for name, each in parameters(config).items() if each.kind != "code"}


def _raw(parameter: Parameter, value: Any) -> Raw:
    if parameter.kind == "select":
        return _text(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return ", ".join(repr(each) for each in value)
    # repr is the shortest text that gives the same number back; "10" reads better than "10.0".
    return repr(value).removesuffix(".0")


def _text(option: Any) -> str:
    """Return an option as the browser holds it."""
    if option is None:
        return "none"
    return option.name if isinstance(option, Enum) else str(option)


def _parse(name: str, parameter: Parameter, value: Any) -> Any:
    if not isinstance(value, str):
        # Already typed: a checkbox, or a number set from code. The config judges it.
        return value
    text = value.strip()
    if parameter.kind == "select":
        by_text = {_text(option): option for option, _ in parameter.options}
        return by_text.get(text, text)
    if not text and parameter.optional:
        return None
    if parameter.kind == "number":
        return _parse_number(name, text)
    if parameter.kind == "numbers":
        return tuple(_parse_number(name, part.strip()) for part in text.split(","))
    return _parse_integer(name, text) if parameter.kind == "integer" else value


def _parse_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(name, "a number such as 0.001 or 1e-3", text) from None


def _parse_integer(name: str, text: str) -> int:
    try:
        # Decimal reads "1e3" and "20.0" without rounding a 64-bit seed as a float would.
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if (
        not number.is_finite()
        or number.adjusted() > _MAX_DIGITS
        or number != number.to_integral_value()
    ):
        raise ArgumentError(name, "a whole number", text)
    return int(number)

"""The parameters as a form: what the panel shows for each, and what its text means.

Both directions are pure functions: `fields_for` and `values_for` turn a config into what the
browser shows, `parse_values` turns what a person typed into typed Python values.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sp_widget.errors import ArgumentError
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.types import AblationType
from sp_widget.widget.parameters import FIELDS, NEEDS_VALIDATION, NO_MASK_FN, Field, Raw

NO_VALIDATION = "There is no validation data: pass validation_dataloader to the widget."

_MAX_DIGITS = 30
"""More digits than any whole number in a config needs; "1e999999999" would not fit in memory."""

_FIELDS_BY_NAME = {field["name"]: field for field in FIELDS}


def fields_for(config: SubnetworkProbingConfig, *, validation: bool = True) -> list[Field]:
    """The panel's fields in display order, holding the values of `config`.

    `avoid_edges`, `cache` and `recompute` have no field: they are given from code.
    `validation`: whether there is validation data.
    """
    values = values_for(config)
    return [
        Field(
            **{
                **field,
                "value": values[field["name"]],
                "unavailable": (
                    NO_VALIDATION if field["name"] in NEEDS_VALIDATION and not validation else ""
                ),
            }
        )
        for field in FIELDS
    ]


def label_of(name: str) -> str:
    """What the panel calls a parameter."""
    field = _FIELDS_BY_NAME.get(name)
    return name.replace("_", " ").capitalize() if field is None else field["label"]


def text_of(name: str, config: SubnetworkProbingConfig) -> str:
    """The value of a parameter as a person reads it."""
    value = getattr(config, name)
    field = _FIELDS_BY_NAME.get(name)
    if field is not None and field["kind"] == "select":
        raw = _raw(field, value)
        return next(each["label"] for each in field["options"] if each["value"] == raw)
    if field is not None and value is None:
        return field["placeholder"]
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{len(value)} edges" if isinstance(value, frozenset) else str(value)


def values_for(config: SubnetworkProbingConfig) -> dict[str, Raw]:
    """The values of `config` as the browser holds them, by field name.

    Text that `parse_values` turns back into exactly the same values.
    """
    return {field["name"]: _raw(field, getattr(config, field["name"])) for field in FIELDS}


def parse_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What a person typed, as typed values for `SubnetworkProbingConfig`.

    Numbers may be written as `0.001` or `1e-3`; an empty optional field is `None`. Returns
    the values that are right and, by field name, what is wrong with the others; every name
    in `raw` is in one of the two. A name without a field is a problem.
    """
    parsed: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in raw.items():
        try:
            parsed[name] = _parse(name, value)
        except ArgumentError as error:
            problems[name] = error.reason
    problems |= SubnetworkProbingConfig.problems(parsed)
    return {name: value for name, value in parsed.items() if name not in problems}, problems


def _raw(field: Field, value: Any) -> Raw:
    if field["kind"] == "select":
        return value.name if isinstance(value, AblationType) else str(value or NO_MASK_FN)
    if value is None:
        return ""
    if isinstance(value, bool):
        return value
    # repr is the shortest text that gives the same number back; "10" reads better than "10.0".
    return repr(value).removesuffix(".0")


def _parse(name: str, value: Any) -> Any:
    field = _FIELDS_BY_NAME.get(name)
    if field is None:
        raise ArgumentError(name, f"one of {sorted(_FIELDS_BY_NAME)}", name)
    if not isinstance(value, str):
        # Already typed: a checkbox, or a number set from code. The config judges it.
        return value
    text = value.strip()
    if field["kind"] == "select":
        return _parse_option(name, text)
    if not text and field["optional"]:
        return None
    if field["kind"] == "number":
        return _parse_number(name, text)
    if field["kind"] == "integer":
        return _parse_integer(name, text)
    return value


def _parse_option(name: str, text: str) -> Any:
    if name == "ablation_type" and text in AblationType.__members__:
        return AblationType[text]
    if name == "mask_fn" and text == NO_MASK_FN:
        return None
    return text


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

"""A method's config as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.methods.parameter import Parameter, parameters


def config_to_json(config: Any) -> dict[str, Any]:
    """Return the settings by name. Raises `ArgumentError` for a value that JSON has no form for."""
    return {name: value_to_json(name, getattr(config, name)) for name in parameters(config)}


def value_to_json(name: str, value: Any) -> Any:
    """Return the form of one setting in JSON."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ArgumentError(name, "a setting that can be written as JSON", value)


def config_from_json(Config: type[Any], values: object, model: PatchableModel) -> Any:
    """Return the config that `config_to_json` wrote; edges are those of `model` with these names.

    Raises `ArgumentError` that names a bad setting.
    """
    known = parameters(Config)
    if not isinstance(values, Mapping) or values.keys() != known.keys():
        got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values)
        raise ArgumentError("parameters", f"settings with the names {sorted(known)}", got)
    return Config(
        **{name: value_from_json(name, known[name], values[name], model) for name in known}
    )


def value_from_json(name: str, parameter: Parameter, value: Any, model: PatchableModel) -> Any:
    """Return the setting that `value_to_json` wrote."""
    if parameter.kind == "select":
        for option, _ in parameter.options:
            written = value_to_json(name, option)
            if type(written) is type(value) and written == value:
                return option
    elif parameter.kind == "numbers" and isinstance(value, list):
        return tuple(value)
    elif parameter.kind == "code" and isinstance(value, list):
        return edges_by_name(name, value, model)
    return value


def edges_by_name(argument: str, names: list[Any], model: PatchableModel) -> frozenset[Any]:
    """Return the model's edges with these names. Raises `ArgumentError` for an unknown one."""
    if not names:
        return frozenset()
    by_name = {str(edge): edge for edge in model.edges}
    for name in names:
        if not isinstance(name, str) or name not in by_name:
            raise ArgumentError(argument, "names of the model's edges", name)
    return frozenset(by_name[name] for name in names)

"""The ways to score edges, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sp_widget.errors import ArgumentError

if TYPE_CHECKING:
    from sp_widget.methods.base import Method, MethodConfig

_HOMES = {
    "subnetwork_probing": "sp_widget.methods.subnetwork_probing.method",
}
"""The module that holds each method's `METHOD`, in the order of the panel."""

_ADDED: dict[str, Method] = {}


def names() -> tuple[str, ...]:
    """Return the names that `get` knows, in the order in which the panel offers them."""
    return (*_HOMES, *_ADDED)


def get(name: str) -> Method:
    """Return a method by name: its `.title`, its `.Config`, its `.trainer(model, dataloader, …)`.

    Raises `ArgumentError` for an unknown name.
    """
    if name in _ADDED:
        return _ADDED[name]
    if not isinstance(name, str) or name not in _HOMES:
        raise ArgumentError("method", f"one of {', '.join(names())}", name)
    method: Method = import_module(_HOMES[name]).METHOD
    return method


def register(method: Method) -> None:
    """Add a method of your own: the panel offers it from then on.

    The same name again replaces it, so that a cell may be run again. Raises `ArgumentError` for
    the name of a method that comes with the package.
    """
    if method.name in _HOMES:
        raise ArgumentError("method", f"another name than {', '.join(_HOMES)}", method.name)
    _ADDED[method.name] = method


def of(config: MethodConfig | None) -> Method:
    """Return the method that a config belongs to; without a config, subnetwork probing.

    Raises `ArgumentError` for a config of no method.
    """
    if config is None:
        return get("subnetwork_probing")
    for method in map(get, reversed(names())):
        if type(config) is method.Config:
            return method
    raise ArgumentError("config", "the config of a method", type(config))

"""The ways to score edges, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sp_widget.errors import ArgumentError

if TYPE_CHECKING:
    from sp_widget.methods.base import Method, MethodConfig

_HOMES = {
    "subnetwork_probing": "subnetwork_probing.method:METHOD",
    "learned_ranking": "learned_ranking:METHOD",
    "edge_pruning": "edge_pruning:METHOD",
    "uniform_gradient_sampling": "uniform_gradient_sampling:METHOD",
    "mask_gradient": "mask_gradient:METHOD",
    "eap_ig": "eap_ig:METHOD",
    "acdc": "acdc:METHOD",
    "activation_magnitude": "baselines:ACTIVATION_MAGNITUDE",
    "weight_magnitude": "baselines:WEIGHT_MAGNITUDE",
    "random": "baselines:RANDOM",
    "ground_truth": "baselines:GROUND_TRUTH",
}
"""The module of each method and its name there, in the order of the panel."""

_ADDED: dict[str, Method] = {}


def names() -> tuple[str, ...]:
    """Return the names that `get` knows, in the order in which the panel offers them."""
    return (*_HOMES, *_ADDED)


def get(name: str) -> Method:
    """Return a method by name: its `.title`, its `.Config`, its `.trainer(model, dataloader, …)`.

    Raises `ArgumentError` for an unknown name.
    """
    if isinstance(name, str) and name in _ADDED:
        return _ADDED[name]
    if not isinstance(name, str) or name not in _HOMES:
        raise ArgumentError("method", f"one of {', '.join(names())}", name)
    module, attribute = _HOMES[name].split(":")
    method: Method = getattr(import_module(f"{__name__}.{module}"), attribute)
    return method


def register(method: Method) -> None:
    """Add a method of your own: the panel offers it from then on.

    The same name again replaces it, so that a cell may be run again. Raises `ArgumentError` for
    the name of a method that comes with the package.
    """
    from sp_widget.methods.base import Method

    if not isinstance(method, Method):
        raise ArgumentError("method", "a sp_widget.methods.base.Method", type(method))
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

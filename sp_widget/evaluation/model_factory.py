"""A function that makes model and prompts, for workers to which neither can be sent."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.graph.base_graph import Edge

ModelFactory: TypeAlias = Callable[[], Any]
"""Returns (model, dataloader), (model, dataloader, validation dataloader), or a `Task`."""


class Made(NamedTuple):
    """What a factory returned."""

    model: PatchableModel
    dataloader: PromptDataLoader
    validation_dataloader: PromptDataLoader | None
    official_edges: Collection[Edge] | None = None
    """Those known to be the circuit; of a task where somebody knows."""


def check_factory(argument: str, factory: object, executor: object) -> None:
    """Raise `ArgumentError` for what is no function, or cannot be found by name in a new process.

    `executor`: who will call it; `None`: another process.
    """
    if not callable(factory):
        raise ArgumentError(argument, "a function without arguments", factory)
    function: Any = factory
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    by_name = executor is None or isinstance(executor, ProcessPoolExecutor)
    if by_name and not _can_be_imported(function):
        wanted = (
            "a function that another process can import: put it into a file, such as study.py "
            "beside the notebook, and import it from there; or give an executor that takes any "
            "function, such as Dask's"
        )
        raise ArgumentError(argument, wanted, factory)


_here = threading.local()
"""What was made for the last job of this thread: most jobs of a worker need the same."""


def made_by(factory: ModelFactory, study: str) -> Made:
    """Return what a factory makes, made once in a thread for all jobs of a study.

    Raises `ArgumentError` for anything but a patchable model and dataloaders.
    """
    if getattr(_here, "study", None) != study:
        # First away with the one before: two models may not fit.
        _here.study = _here.made = None
        _here.made = _checked(factory())
        _here.study = study
    made: Made = _here.made
    return made


def _checked(given: Any) -> Made:
    official_edges = None
    if hasattr(given, "train_loader"):
        official_edges = given.official_edges
        given = (given.model, given.train_loader, given.test_loader)
    if isinstance(given, tuple) and len(given) == 2:
        given = (*given, None)
    kinds = (PatchableModel, PromptDataLoader, PromptDataLoader | None)
    if (
        not isinstance(given, tuple)
        or len(given) != len(kinds)
        or not all(map(isinstance, given, kinds))
    ):
        wanted = "a function that returns (patchable model, dataloader[, validation dataloader])"
        got = tuple(map(type, given)) if isinstance(given, tuple) else type(given)
        raise ArgumentError("model_factory", wanted, got)
    model, dataloader, validation_dataloader = given
    return Made(model, dataloader, validation_dataloader, official_edges)


def _can_be_imported(function: Any) -> bool:
    """Return whether it is found in its module by its name; a cell is no module."""
    found: Any = sys.modules.get(function.__module__)
    if function.__module__ == "__main__" and not hasattr(found, "__file__"):
        return False
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function

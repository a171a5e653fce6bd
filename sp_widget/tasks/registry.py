"""The bundled tasks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import torch

from sp_widget.errors import ArgumentError
from sp_widget.tasks import agreement, induction, tiny_ioi, tracr
from sp_widget.tasks.task import Task

_LOADERS: dict[str, Callable[[int | tuple[int, int] | None, torch.device | str | None], Task]] = {
    tiny_ioi.NAME: tiny_ioi.load,
    agreement.NAME: agreement.load,
    induction.NAME: induction.load,
    **{name: partial(tracr.load, name) for name in tracr.NAMES},
}


def names() -> tuple[str, ...]:
    """The names that `load` knows."""
    return tuple(_LOADERS)


def load(
    name: str,
    *,
    batch_size: int | tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Task:
    """A bundled task, from files in the package: no download.

    `batch_size`: of both loaders, or (train, test); `None` takes what suits the task's `config`.
    `device`: where to put the model and the prompts; `None` leaves it to TransformerLens.
    Every call loads a fresh model. Raises `ArgumentError` for an unknown name, and `ImportError`
    with a transformer-lens that cannot load the models: they are bridges.
    """
    if name not in names():
        raise ArgumentError("name", f"one of {', '.join(names())}", name)
    installed = version("transformer-lens")
    if int(installed.split(".")[0]) < 4:
        raise ImportError(
            f"the bundled tasks need transformer-lens 4.3 or newer; {installed} is installed"
        )
    return _LOADERS[name](batch_size, device)

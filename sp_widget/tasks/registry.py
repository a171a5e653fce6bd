"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from sp_widget.data.device import known_device
from sp_widget.data.json_data import batch_sizes
from sp_widget.data.prompts import is_whole_number
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.tasks import agreement, induction, tiny_ioi, tracr
from sp_widget.tasks.standard import task as standard
from sp_widget.tasks.task import Task

_LOADERS: dict[str, Callable[[int | tuple[int, int] | None, torch.device | str | None], Task]] = {
    tiny_ioi.NAME: tiny_ioi.load,
    agreement.NAME: agreement.load,
    induction.NAME: induction.load,
    **{name: partial(tracr.load, name) for name in tracr.NAMES},
}

_N_PROMPTS = 128
"""Of a standard task, for training and for testing each."""

_BATCH_SIZE = 32


def names() -> tuple[str, ...]:
    """Return the names of the bundled tasks, which bring their models."""
    return tuple(_LOADERS)


def standard_names() -> tuple[str, ...]:
    """Return the names of the standard tasks, for a model that you bring."""
    return standard.NAMES


def load(
    name: str,
    *,
    model: nn.Module | PatchableModel | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int | None = None,
    batch_size: int | tuple[int, int] | None = None,
    device: torch.device | str | None = None,
) -> Task:
    """Return a bundled task, or a standard task on a model that you bring.

    A bundled task (`sp.tasks.load("tiny-ioi")`) comes from files in the package, without a
    download; every call loads a fresh model.

    The prompts of a standard task (`sp.tasks.load("ioi", model=bridge)`) are made for the model's
    tokenizer: each word that varies is a single token, and `.left_out` and `.description` say which
    words are not. Hence clean and corrupt prompts have their words at the same positions. BOS comes
    first where the tokenizer has one; prompts of different length are padded on the left. Nothing
    that a train prompt is about (a pair of names, a country, ...) occurs in the test prompts in
    that role. `.official_edges` is a set only on the very model that the literature found the
    circuit in, as told by its name and its number of edges.

    Args:
        name: One of `names()` or `standard_names()`.
        model: For a standard task: a `TransformerBridge`, or a `HookedTransformer` of
            transformer-lens 2 or 3, with a tokenizer; or such a model made patchable already, with
            `slice_output="last_seq"`. Where all prompts have the same number of tokens
            (`train_loader.seq_len`) it may have edges for every token position.
        n_train: Number of train prompts of a standard task; 128 if `None`. One of the numbers may
            be 0.
        n_test: Number of test prompts of a standard task; 128 if `None`.
        seed: Seed of what is drawn for a standard task; 0 if `None`. The same seed, numbers and
            tokenizer give the same prompts.
        batch_size: Of both loaders, or (train, test). `None` takes what suits a bundled task's
            `config`, and 32 for a standard task.
        device: Where to put the model and the prompts of a bundled task; `None` leaves it to
            TransformerLens. The prompts of a standard task are put where its model is.

    Raises:
        ArgumentError: For an unknown name, an argument that this task does not take, more prompts
            than there are, or a model whose tokenizer does not have enough of the words.
        UnsupportedModelError: For a model that cannot be split into nodes.
        ImportError: For a bundled task with a transformer-lens that cannot load its model.
    """
    if isinstance(name, str) and name in standard_names():
        return _load_standard(name, model, n_train, n_test, seed, batch_size, device)
    if not isinstance(name, str) or name not in names():
        raise ArgumentError("name", f"one of {', '.join((*names(), *standard_names()))}", name)
    _refuse(
        {"model": model, "n_train": n_train, "n_test": n_test, "seed": seed},
        f"None, because the bundled task {name} brings its model and its prompts",
    )
    sizes = None if batch_size is None else batch_sizes(batch_size)
    place = None if device is None else known_device(device)
    installed = version("transformer-lens")
    if int(installed.split(".")[0]) < 4:
        raise ImportError(
            f"the bundled tasks need transformer-lens 4.3 or newer; {installed} is installed"
        )
    return _LOADERS[name](sizes, place)


def _load_standard(
    name: str,
    model: object,
    n_train: int | None,
    n_test: int | None,
    seed: int | None,
    batch_size: object,
    device: object,
) -> Task:
    _refuse({"device": device}, f"None, because the prompts of {name} are put where the model is")
    if not isinstance(model, (nn.Module, PatchableModel)):
        wanted = f"a TransformerBridge or HookedTransformer to run {name} on"
        raise ArgumentError("model", wanted, None if model is None else type(model).__name__)
    numbers = {
        "n_train": _N_PROMPTS if n_train is None else n_train,
        "n_test": _N_PROMPTS if n_test is None else n_test,
        "seed": 0 if seed is None else seed,
    }
    for argument, number in numbers.items():
        if not is_whole_number(number) or number < 0:
            raise ArgumentError(argument, "a whole number of at least 0", number)
    if numbers["n_train"] + numbers["n_test"] == 0:
        raise ArgumentError("n_train", "at least 1, because n_test is 0 too", 0)
    sizes = batch_sizes(_BATCH_SIZE if batch_size is None else batch_size)
    return standard.load(name, model, **numbers, batch_size=sizes)


def _refuse(arguments: Mapping[str, Any], wanted: str) -> None:
    for argument, value in arguments.items():
        if value is not None:
            shown = type(value).__name__ if argument == "model" else value
            raise ArgumentError(argument, wanted, shown)

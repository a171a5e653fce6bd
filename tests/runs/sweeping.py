"""What the workers of a sweep import: a small model, and a method that kills its process once."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget import methods
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.base import Method, MethodConfig, Trainer
from sp_widget.methods.parameter import from_code, whole_number
from sp_widget.runs import keeper
from tests import model_kinds

Parts = tuple[PatchableModel, PromptDataLoader, PromptDataLoader]


def small() -> Parts:
    """Return a model of two layers of attention, with prompts to train and to validate on."""
    if METHOD.name not in methods.names():
        # In a worker, where no fixture does it.
        know_walk(pytest.MonkeyPatch())
    model = patchable_model(model_kinds.bridge("native-attention-only"))
    return model, model_kinds.dataloader(), model_kinds.dataloader(2, 4)


@cache
def the_same() -> Parts:
    """Return `small()`, made once in a process."""
    return small()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True, kw_only=True)
class WalkConfig(MethodConfig):
    """Settings of `Walk`."""

    steps: int = whole_number(6, "Steps", "Steps of the walk.")
    circuit_size: int | None = whole_number(5, "Circuit size", "Edges in it.", optional="a tenth")
    diary: str = from_code("", "Diary", "A file with a line for every step.", "a path", _is_text)
    deaths: int = whole_number(0, "Deaths", "How often its process is killed.", at_least=0)


class Walk(Trainer[WalkConfig]):
    """A random walk of the scores, whose process is killed in step 4, and whose diary says so."""

    title = "Walk"
    Config = WalkConfig

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.tensors["place"] = torch.zeros(self.n_edges)

    @property
    def n_steps(self) -> int:
        return self.config.steps

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        # So that the last checkpoint is that of the step before.
        for thread in threading.enumerate():
            if thread.name == keeper.WRITING:
                thread.join()
        if self.config.diary:
            diary = Path(self.config.diary)
            with diary.open("a") as file:
                file.write(f"{os.getpid()} {step}\n")
            if step == DEADLY and len(processes_in(diary)) <= self.config.deaths:
                os.kill(os.getpid(), signal.SIGKILL)
        self.tensors["place"] += torch.randn(self.n_edges, generator=self.generator(step))
        return {"loss": self.tensors["place"].abs().mean()}

    def scores(self) -> Float[Tensor, " edges"]:
        return self.tensors["place"]


DEADLY = 4
"""The step in which the process is killed."""


def processes_in(diary: Path) -> dict[int, list[int]]:
    """Return the steps that each process made, by its number, the first process first."""
    steps: dict[int, list[int]] = {}
    for line in diary.read_text().splitlines():
        process, step = map(int, line.split())
        steps.setdefault(process, []).append(step)
    return steps


METHOD = Method(name="walk", title="Walk", summary="For tests.", Config=WalkConfig, trainer=Walk)


def know_walk(patch: pytest.MonkeyPatch) -> None:
    """Register the method, and write a checkpoint after every step, as after one of ten seconds."""
    patch.setitem(methods._ADDED, METHOD.name, METHOD)
    patch.setattr(keeper, "SHARE", 1e9)
    patch.setitem(keeper.RunKeeper.__init__.__kwdefaults__, "seconds_between", 0.0)

"""The files of a run that follow from its trainer: config, history, checkpoint, scores.

The checkpoint decides. It is replaced in one instant and says how many lines of the history
belong to it: lines behind them, torn or whole, are what a killed process wrote last. So a run can
be killed at any time, and a folder holds the last moment that was written wholly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sp_widget import methods
from sp_widget._version import __version__
from sp_widget.checked_files import read_json, read_json_lines, read_tensors, require_file
from sp_widget.circuits.score_files import identity, to_safetensors
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.files import is_path, write_atomically
from sp_widget.folder_lock import FolderLock
from sp_widget.graph.base_graph import BaseGraph
from sp_widget.methods.config_text import (
    config_from_json,
    config_to_json,
    value_from_json,
    value_to_json,
)
from sp_widget.methods.parameter import parameters
from sp_widget.methods.record import StepRecord

if TYPE_CHECKING:
    from sp_widget.methods.base import Trainer

RUN_FORMAT = "sp_widget run 1"
CHECKPOINT_FORMAT = "sp_widget checkpoint 1"

CONFIG, HISTORY = "config.json", "history.jsonl"
CHECKPOINT, SCORES = "checkpoint.safetensors", "scores.safetensors"

_STATE = "state"
"""The tensor of the checkpoint that holds JSON: metadata of any length have no place elsewhere."""

_ARGUMENTS = {
    "model's edges": "model",
    "model's weights": "model",
    "dataloader": "dataloader",
    "validation_dataloader": "validation_dataloader",
}
"""Fingerprint to the argument that it is of."""


@dataclass(frozen=True)
class Moment:
    """A run between two steps: all that is written of it. The next step does not change it."""

    about: Mapping[str, Any]
    """The content of `config.json`."""
    live: frozenset[str]
    """Names of the settings that may change in mid-run."""
    state: Mapping[str, Any]
    """`Trainer.state_dict` without the history."""
    history: tuple[StepRecord, ...]
    prune_scores: PruneScores
    notes: Mapping[str, Any]
    """What the floors above keep with the checkpoint; JSON."""


def moment_of(trainer: Trainer[Any], notes: Mapping[str, Any] | None = None) -> Moment:
    """Return the trainer's run as it is now. Quick: tensors are copied, nothing is written."""
    live = [name for name, each in parameters(trainer.config).items() if each.live]
    return Moment(
        about=_about(trainer),
        live=frozenset(live),
        state=trainer.state_without_history(),
        history=tuple(trainer.history),
        prune_scores=trainer.prune_scores,
        notes=dict(notes or {}),
    )


class RunWriter:
    """Writes moments of one run into a folder, each later than the one before."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder_of(folder)
        self._begun = False
        self._lines = 0
        """Of the history that the checkpoint in the folder counts on."""
        self._bytes = 0

    def write(self, moment: Moment) -> None:
        """Write a moment. Killed at any time, the folder holds this moment or the one before.

        Raises `ArgumentError` for a folder with another run, or with a later moment of this one,
        and `OSError` where it cannot be written; the moment before is whole then.
        """
        if not self._begun:
            self._begin(moment)
        added = [_line(record) for record in islice(moment.history, self._lines, None)]
        self._append(b"".join(added))
        write_atomically(self.folder / CHECKPOINT, _checkpoint(moment))
        self._lines, self._bytes = len(moment.history), self._bytes + sum(map(len, added))
        scores = moment.prune_scores
        write_atomically(self.folder / SCORES, to_safetensors(scores, scores.graph))

    def _begin(self, moment: Moment) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if exists(self.folder / CONFIG):
            self._check_about(moment)
            self._go_on(moment)
        elif exists(self.folder / CHECKPOINT) or exists(self.folder / HISTORY):
            raise ArgumentError("folder", "a new folder, or one with a run", "a part of a run")
        else:
            content = json.dumps(moment.about, indent=1)
            write_atomically(self.folder / CONFIG, content.encode())
        self._begun = True

    def _check_about(self, moment: Moment) -> None:
        written, here = (
            _same(each, moment.live) for each in (read_about(self.folder), moment.about)
        )
        for name, value in here.items():
            if written.get(name) != value:
                wanted = f"a folder without a run, or with this one, of {name} {value!r}"
                raise ArgumentError("folder", wanted, written.get(name))

    def _go_on(self, moment: Moment) -> None:
        if not exists(self.folder / CHECKPOINT):
            return
        steps, n_bytes = steps_of(read_checkpoint(self.folder)), 0
        if steps > len(moment.history):
            wanted = f"a folder without a later step of the run than {len(moment.history)}"
            raise ArgumentError("folder", wanted, steps)
        lines = read_json_lines(self.folder / HISTORY, steps) if steps else iter(())
        for record, line in zip(moment.history, lines, strict=False):
            if _line(record) != _line_of(line):
                raise ArgumentError("folder", "a folder without another run", record.step)
            n_bytes += len(_line(record))
        self._lines, self._bytes = steps, n_bytes

    def _append(self, lines: bytes) -> None:
        path = self.folder / HISTORY
        if exists(path):
            require_file(path)
        with path.open("r+b" if exists(path) else "xb") as file:
            # Away with what a killed process wrote behind the checkpoint, or a full disk tore.
            file.truncate(self._bytes)
            file.seek(self._bytes)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


def save_moment(folder: str | Path, moment: Moment) -> None:
    """Write one moment into a folder. Raises as `RunWriter.write` does, and `StateError` while a
    run is under way there.
    """
    writer = RunWriter(folder)
    with FolderLock(writer.folder):
        writer.write(moment)


def read_trainer(
    folder: str | Path,
    model: PatchableModel,
    dataloader: PromptDataLoader,
    validation_dataloader: PromptDataLoader | None = None,
) -> tuple[Trainer[Any], Mapping[str, Any]]:
    """Return the trainer of the run in a folder as it was saved, and the notes kept with it.

    Raises `ArgumentError` for another model or other data, and for a folder without a run.
    """
    folder = folder_of(folder)
    trainer = new_trainer(folder, model, dataloader, validation_dataloader)
    state = read_checkpoint(folder)
    steps, notes = steps_of(state), state.pop("notes")
    del state["steps"]
    state["history"] = list(read_json_lines(folder / HISTORY, steps)) if steps else []
    with in_file(CHECKPOINT):
        if isinstance(state["config"], Mapping):
            known = parameters(trainer.config)
            state["config"] = {
                name: value_from_json(name, known[name], value, model) if name in known else value
                for name, value in state["config"].items()
            }
        trainer.load_state_dict(state)
        if not isinstance(notes, Mapping):
            raise ArgumentError("notes", "notes by name", type(notes))
    return trainer, notes


def new_trainer(
    folder: Path,
    model: PatchableModel,
    dataloader: PromptDataLoader,
    validation_dataloader: PromptDataLoader | None,
) -> Trainer[Any]:
    """Return a trainer with the config of the run in a folder, before its first step.

    Raises `ArgumentError` for another model or other data.
    """
    about = read_about(folder)
    with in_file(CONFIG):
        method = methods.get(about["method"])
        config = config_from_json(method.Config, about["parameters"], model)
    trainer = method.trainer(model, dataloader, config, validation_dataloader)
    made_with, seed = about["fingerprints"], about["seed"]
    for name, argument in _ARGUMENTS.items():
        here, there = trainer.made_with[name], made_with.get(name)
        if here != there:
            wanted = f"that of the run in the folder, with {name} {there}"
            raise ArgumentError(argument, wanted, here)
    trainer.seed = seed
    return trainer


def read_about(folder: Path) -> dict[str, Any]:
    """Return the content of `config.json`. Raises `ArgumentError` unless it is that of a run."""
    about = read_json(folder / CONFIG, RUN_FORMAT)
    kinds: dict[str, type] = {
        "method": str,
        "parameters": dict,
        "seed": int,
        "n_steps": int,
        "versions": dict,
        "fingerprints": dict,
        "graph": dict,
    }
    for name, kind in kinds.items():
        if type(about.get(name)) is not kind:
            raise ArgumentError("folder", f"{CONFIG}: {kind.__name__} as {name}", about.get(name))
    if not 0 <= about["seed"] < 2**63:
        raise ArgumentError("folder", f"{CONFIG}: a seed", about["seed"])
    return about


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return `Trainer.state_dict` without its history, with the number of `steps` and the `notes`.

    The parts are not looked into. Raises `ArgumentError` for a file without them.
    """
    tensors = read_tensors(folder / CHECKPOINT, CHECKPOINT_FORMAT)
    names = ("made_with", "seed", "config", "steps", "evaluations", "best", "notes")
    try:
        state = json.loads(bytes(tensors.pop(_STATE).tolist()))
    except (KeyError, ValueError, TypeError, RecursionError):
        state = None
    if not isinstance(state, dict) or state.keys() != set(names):
        got = sorted(map(str, state)) if isinstance(state, dict) else "something else"
        raise ArgumentError("folder", f"{CHECKPOINT}: a state with {sorted(names)}", got)
    for part in ("tensors", "best_tensors"):
        prefix = f"{part}."
        state[part] = {
            name.removeprefix(prefix): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(prefix)
        }
    if tensors:
        raise ArgumentError("folder", f"{CHECKPOINT}: no other tensors", sorted(tensors))
    return state


def steps_of(state: Mapping[str, Any]) -> int:
    """Return how many lines of the history belong to a checkpoint."""
    steps = state["steps"]
    if type(steps) is not int or steps < 0:
        raise ArgumentError("folder", f"{CHECKPOINT}: a number of steps", steps)
    return steps


def folder_of(folder: object) -> Path:
    """Return the path of a folder. Raises `ArgumentError` for what is none."""
    if not is_path(folder):
        raise ArgumentError("folder", "the path of a folder", folder)
    path = Path(str(folder))
    if exists(path) and not path.is_dir():
        raise ArgumentError("folder", "the path of a folder", str(folder))
    return path


def _about(trainer: Trainer[Any]) -> dict[str, Any]:
    config, graph = trainer.config_at_start, trainer.model.graph
    return {
        "format": RUN_FORMAT,
        "method": methods.of(config).name,
        "parameters": config_to_json(config),
        "seed": trainer.seed,
        "n_steps": trainer.n_steps,
        "versions": {"sp_widget": __version__, "torch": str(torch.__version__)},
        "fingerprints": {name: trainer.made_with[name] for name in _ARGUMENTS},
        "graph": {**identity(graph), "modules": _modules(graph)},
    }


def _modules(graph: BaseGraph) -> list[dict[str, Any]]:
    """Return what each tensor of scores is of: from and to which destination and source."""
    return [
        {
            "name": module.name,
            "destinations": [module.rows.start, module.rows.stop],
            "sources": [module.srcs.start, module.srcs.stop],
        }
        for module in graph.modules
    ]


def _same(about: Mapping[str, Any], live: frozenset[str]) -> dict[str, Any]:
    """Return what two moments of one run have in common, by name."""
    settings = {f"parameters.{name}": value for name, value in about["parameters"].items()}
    fixed = {name: value for name, value in settings.items() if name[11:] not in live}
    return {**fixed, **{name: about[name] for name in ("method", "seed", "fingerprints")}}


def _checkpoint(moment: Moment) -> bytes:
    from safetensors.torch import save

    state = dict(moment.state)
    tensors: dict[str, Tensor] = {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part in ("tensors", "best_tensors")
        for name, value in state.pop(part).items()
    }
    config = {name: value_to_json(name, value) for name, value in state["config"].items()}
    state |= {"config": config, "steps": len(moment.history), "notes": moment.notes}
    text = bytearray(json.dumps(state).encode())
    tensors[_STATE] = torch.frombuffer(text, dtype=torch.uint8)
    return save(tensors, {"format": CHECKPOINT_FORMAT})


def _line(record: StepRecord) -> bytes:
    return _line_of(record.to_dict())


def _line_of(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def exists(path: Path) -> bool:
    """Return whether there is something of this name, be it a link that leads nowhere."""
    return path.exists() or path.is_symlink()


@contextmanager
def in_file(name: str) -> Iterator[None]:
    """Say of a bad argument in which file of the folder it stands."""
    try:
        yield
    except ArgumentError as error:
        wanted = f"{name}: {error.argument}: {error.wanted}"
        raise ArgumentError("folder", wanted, error.got) from None

"""A widget as a folder: `panel.json`, and the folder of each of its runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sp_widget import methods
from sp_widget.checked_files import read_json
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.files import is_path, write_atomically
from sp_widget.methods.base import MethodConfig, Trainer
from sp_widget.methods.config_text import config_from_json, edges_by_name
from sp_widget.methods.run_files import (
    CHECKPOINT,
    Moment,
    exists,
    in_file,
    moment_of,
    read_trainer,
    save_moment,
)
from sp_widget.report.groups import NodeGroup
from sp_widget.runs.folder import RunFolder
from sp_widget.runs.status import RunStatus, write_status
from sp_widget.session.notes import read_notes
from sp_widget.widget.runs import FinishedRun

PANEL = "panel.json"
PANEL_FORMAT = "sp_widget panel 1"


@dataclass(frozen=True)
class RunEntry:
    """What the panel knows of a finished run, beside what is in the run's folder."""

    folder: str
    number: int
    name: str
    shown: bool


@dataclass(frozen=True)
class PanelFile:
    """The content of `panel.json`."""

    method: str
    parameters: Mapping[str, Any]
    """What the fields show, as `config_to_json` writes it."""
    save_as: str
    official_edges: list[str] | None
    """By name."""
    runs: tuple[RunEntry, ...]
    """The finished runs, oldest first."""
    current: str | None
    """The folder of the run at hand."""
    groups: tuple[NodeGroup, ...] = ()
    """Nodes that were gathered."""
    circuits: Mapping[str, list[str]] = field(default_factory=dict)
    """Circuits that were kept, by name: the names of their edges."""

    def config(self, model: PatchableModel) -> MethodConfig:
        """Return what the fields show. Raises `ArgumentError` where it fits no method."""
        with in_file(PANEL):
            config: MethodConfig = config_from_json(
                methods.get(self.method).Config, self.parameters, model
            )
        return config

    def known_circuit(self, model: PatchableModel) -> frozenset[Any] | None:
        """Return the official edges. Raises `ArgumentError` for those of another model."""
        if self.official_edges is None:
            return None
        with in_file(PANEL):
            return edges_by_name("official_edges", self.official_edges, model)


def is_page(name: str | Path) -> bool:
    """Return whether what a widget is saved to is an HTML page, and no folder."""
    return is_path(name) and str(name).lower().endswith(".html")


def holds_panel(folder: Path) -> bool:
    """Return whether a widget was saved in a folder."""
    return exists(folder / PANEL)


def write_panel(folder: Path, panel: PanelFile) -> None:
    """Write `panel.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": PANEL_FORMAT, **asdict(panel)}
    write_atomically(folder / PANEL, json.dumps(content, indent=1).encode())


def read_panel(folder: Path) -> PanelFile:
    """Return what `write_panel` wrote. Raises `ArgumentError` for anything else."""
    content = read_json(folder / PANEL, PANEL_FORMAT)
    kinds: dict[str, tuple[type, ...]] = {
        "method": (str,),
        "parameters": (dict,),
        "save_as": (str,),
        "official_edges": (list, type(None)),
        "runs": (list,),
        "current": (str, type(None)),
        "groups": (list,),
        "circuits": (dict,),
    }
    # Folders of earlier versions have neither.
    content = {"groups": [], "circuits": {}, **content}
    for name, wanted in kinds.items():
        if type(content.get(name, ...)) not in wanted:
            raise ArgumentError(
                "folder", f"{PANEL}: {wanted[0].__name__} as {name}", content.get(name)
            )
    entries = tuple(_entry(each) for each in content.pop("runs"))
    for name, values in (
        ("number", [each.number for each in entries]),
        ("name", [each.name for each in entries]),
        ("folder", [each.folder for each in entries] + [content["current"]]),
    ):
        if len(set(values)) != len(values):
            raise ArgumentError("folder", f"{PANEL}: runs that differ in their {name}", values)
    if content["current"] is not None:
        _check_name(content["current"])
    del content["format"]
    if content.keys() | {"runs"} != kinds.keys():
        raise ArgumentError("folder", f"{PANEL} with {sorted(kinds)}", sorted(content))
    groups = tuple(_group(each) for each in content.pop("groups"))
    for name, edges in content["circuits"].items():
        if not isinstance(edges, list) or not all(isinstance(edge, str) for edge in edges):
            raise ArgumentError("folder", f"{PANEL}: names of edges in circuit {name!r}", edges)
    return PanelFile(runs=entries, groups=groups, **content)


def _group(value: object) -> NodeGroup:
    kinds = {"name": str, "nodes": list, "note": str}
    if not isinstance(value, dict) or {name: type(each) for name, each in value.items()} != kinds:
        raise ArgumentError("folder", f"{PANEL}: groups with {', '.join(kinds)}", value)
    return NodeGroup(**value)


def _entry(value: object) -> RunEntry:
    kinds = {"folder": str, "number": int, "name": str, "shown": bool}
    if not isinstance(value, dict) or {name: type(each) for name, each in value.items()} != kinds:
        raise ArgumentError("folder", f"{PANEL}: runs with {', '.join(kinds)}", value)
    _check_name(value["folder"])
    if value["number"] < 1 or not value["name"].strip():
        raise ArgumentError("folder", f"{PANEL}: runs with a number and a name", value)
    return RunEntry(**value)


def _check_name(folder: str) -> None:
    # Anything else could lead out of the widget's folder.
    if re.fullmatch(r"run-[0-9]{1,9}", folder) is None:
        raise ArgumentError("folder", f"{PANEL}: folders named run-1, run-2, …", folder)


def write_run(folder: Path, moment: Moment, status: RunStatus) -> None:
    """Write a run into a folder. Raises as `save_moment` does."""
    save_moment(folder, moment)
    write_status(folder, status)


@dataclass(frozen=True)
class SavedRun:
    """A run that was read from its folder."""

    trainer: Trainer[Any]
    notes: Mapping[str, Any]
    status: RunStatus
    folder: Path

    def finished(self, number: int, name: str, shown: bool) -> FinishedRun:
        """Return the run as the panel keeps it."""
        start, moment = self.trainer.config_at_start, moment_of(self.trainer, self.notes)
        interventions, _ = read_notes(self.notes, self.trainer)
        return FinishedRun(
            number=number,
            name=name,
            config=replace(start, seed=self.trainer.seed),
            seed_was_drawn=start.seed is None,
            evaluations=tuple(self.trainer.evaluations),
            interventions=interventions,
            moment=moment,
            status=self.status,
            folder=self.folder,
            shown=shown,
        )


def read_run(
    folder: Path,
    model: PatchableModel,
    dataloader: PromptDataLoader,
    validation_dataloader: PromptDataLoader | None,
) -> SavedRun | None:
    """Return the run in a folder; `None` where none of it was written before its process ended.

    Raises `ArgumentError` for a run of another model or other data, and for what is no run.
    """
    if folder.is_symlink():
        raise ArgumentError("folder", f"{folder.name}: a folder", "a link")
    if not exists(folder / CHECKPOINT):
        return None
    trainer, notes = read_trainer(folder, model, dataloader, validation_dataloader)
    return SavedRun(trainer, notes, RunFolder(folder).status, folder)

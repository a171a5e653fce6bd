"""Read the folder of a run without its model."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sp_widget.checked_files import read_json, read_json_lines, read_tensors
from sp_widget.circuits.score_files import FORMAT as SCORES_FORMAT
from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically
from sp_widget.folder_lock import is_held
from sp_widget.methods.checkpoint import evaluation_from, history_from
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.run_files import (
    CHECKPOINT,
    CONFIG,
    HISTORY,
    SCORES,
    exists,
    folder_of,
    in_file,
    read_about,
    read_checkpoint,
    steps_of,
)
from sp_widget.runs.status import STATUS, RunStatus, read_status

EVALUATION = "evaluation.json"
EVALUATION_FORMAT = "sp_widget evaluation 1"


class RunFolder:
    """What a folder says of its run. Only `config.json` is read once: a run may be under way.

    Raises `ArgumentError` for a folder without a run; so does each property whose file is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = folder_of(folder)
        self.config: Mapping[str, Any] = read_about(self.path)
        """The content of `config.json`: method, parameters, seed, versions, fingerprints."""

    @property
    def method(self) -> str:
        """The method, as in `sp.methods.get`."""
        return str(self.config["method"])

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The settings at the start, by name, as JSON has them."""
        return dict(self.config["parameters"])

    @property
    def seed(self) -> int:
        """The seed that is used, also where none was given."""
        return int(self.config["seed"])

    @property
    def status(self) -> RunStatus:
        """How the run is. One whose process is gone is paused: it can go on."""
        if exists(self.path / STATUS):
            status = read_status(self.path)
            under_way = status.state in ("preparing", "running", "stopping")
            return replace(status, state="paused") if under_way and not self.under_way else status
        step, n_steps = self._steps, self.config["n_steps"]
        return RunStatus("done" if step >= n_steps else "paused", step, n_steps)

    @property
    def under_way(self) -> bool:
        """Whether a process writes to the folder at this moment."""
        return is_held(self.path)

    @property
    def history(self) -> list[StepRecord]:
        """The records up to the checkpoint, oldest first."""
        steps = self._steps
        lines = list(read_json_lines(self.path / HISTORY, steps)) if steps else []
        with in_file(HISTORY):
            return history_from(lines, steps, len(self._edges))

    @property
    def evaluations(self) -> list[HardEvaluation]:
        """The hard circuit on all validation data up to the checkpoint, oldest first."""
        state = read_checkpoint(self.path)
        with in_file(CHECKPOINT):
            if not isinstance(state["evaluations"], list):
                raise ArgumentError("evaluations", "a list", type(state["evaluations"]))
            steps, n_edges = steps_of(state), len(self._edges)
            return [evaluation_from(each, steps, n_edges) for each in state["evaluations"]]

    @property
    def scores(self) -> dict[str, float]:
        """The score of every edge by its name (`A0.1->MLP 1`, `3:A0.1->MLP 1` at position 3)."""
        names, values = self._edges, list[float]()
        tensors = read_tensors(self.path / SCORES, SCORES_FORMAT)
        for module in self.config["graph"]["modules"]:
            if module["name"] not in tensors:
                raise ArgumentError("folder", f"{SCORES}: scores of {module['name']}", "none")
            values += tensors[module["name"]].flatten().tolist()
        if len(values) != len(names):
            raise ArgumentError("folder", f"{SCORES}: {len(names)} scores", len(values))
        return dict(zip(names, values, strict=True))

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """What `write_evaluation` wrote; `None`: the scores were not evaluated."""
        if not exists(self.path / EVALUATION):
            return None
        content = read_json(self.path / EVALUATION, EVALUATION_FORMAT)
        return {name: value for name, value in content.items() if name != "format"}

    def write_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        """Write how good the scores are, as JSON, into `evaluation.json`."""
        content = {**evaluation, "format": EVALUATION_FORMAT}
        write_atomically(self.path / EVALUATION, json.dumps(content, indent=1).encode())

    def __repr__(self) -> str:
        status = self.status
        return f"RunFolder({self.method}, {status.state}, step {status.step} of {status.n_steps})"

    @property
    def _steps(self) -> int:
        if not exists(self.path / CHECKPOINT):
            return 0
        return steps_of(read_checkpoint(self.path))

    @cached_property
    def _edges(self) -> list[str]:
        with in_file(CONFIG):
            return list(_edge_names(self.config["graph"]))


def runs_in(folder: str | Path) -> list[RunFolder]:
    """Return the runs in the folders of a folder, in the order of their names: 2 before 10."""
    folders = [each for each in folder_of(folder).iterdir() if exists(each / CONFIG)]
    return [RunFolder(each) for each in sorted(folders, key=lambda each: by_number(each.name))]


def new_run_folder(folder: Path) -> Path:
    """Make and return the next folder of a run in a folder: `run-1`, `run-2`, …

    Nobody else gets the same one. Raises `OSError` where it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = (each.name.removeprefix("run-") for each in folder.glob("run-*"))
    taken = [int(name) for name in names if name.isascii() and name.isdecimal()]
    for number in itertools.count(max(taken, default=0) + 1):
        try:
            (folder / f"run-{number}").mkdir()
        except FileExistsError:
            continue
        break
    return folder / f"run-{number}"


def by_number(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by, so that numbers in them count as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


MOST_EDGES = 20_000_000
"""That are named; a file could speak of any number."""


def _edge_names(graph: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of all edges in the order of the scores. Raises `ArgumentError`."""
    sources, destinations = _names(graph, "sources"), _names(graph, "destinations")
    seq_len, modules = graph.get("token positions"), graph.get("modules")
    good = seq_len is None or (type(seq_len) is int and 0 < seq_len < 1_000_000)
    if not good or not isinstance(modules, list):
        raise ArgumentError("graph", "token positions, and modules", (seq_len, type(modules)))
    positions = [""] if seq_len is None else [f"{position}:" for position in range(seq_len)]
    n_edges = 0
    for module in modules:
        rows, srcs = _span(module, "destinations"), _span(module, "sources")
        n_edges += len(positions) * len(destinations[rows.start : rows.stop]) * len(srcs)
        if n_edges > MOST_EDGES:
            raise ArgumentError("graph", f"at most {MOST_EDGES:,} edges", n_edges)
        for position in positions:
            for dest in destinations[rows.start : rows.stop]:
                for src in sources[srcs.start : srcs.stop]:
                    yield f"{position}{src}->{dest}"


def _names(graph: Mapping[str, Any], of: str) -> list[str]:
    names = graph.get(of)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArgumentError("graph", f"names of {of}", names)
    return names


def _span(module: Any, of: str) -> range:
    span = module.get(of) if isinstance(module, dict) and isinstance(module.get("name"), str) else 0
    if not (isinstance(span, list) and len(span) == 2 and all(type(n) is int for n in span)):
        raise ArgumentError(
            "graph", f"modules with a name, and where their {of} begin and end", module
        )
    return range(*span)

"""The runs of a widget that are over, kept to be compared with the next."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from sp_widget import methods
from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.parameter import parameters
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.run_files import Moment
from sp_widget.runs.status import RunStatus
from sp_widget.session import Intervention
from sp_widget.widget.past_run import PastRun


@dataclass(frozen=True)
class FinishedRun:
    """What is kept of a run after a reset."""

    number: int
    """Counts the runs of the widget from 1; never given twice."""
    name: str
    config: MethodConfig
    """As it was at the start, with the seed that was used."""
    seed_was_drawn: bool
    """Whether nobody had chosen that seed."""
    evaluations: tuple[HardEvaluation, ...]
    interventions: tuple[Intervention, ...]
    moment: Moment
    """The run at its end, as it is written into a folder."""
    status: RunStatus
    folder: Path | None = None
    """Where it was kept while it was made."""
    masks: tuple[int, int, int] = (0, 0, 0)
    """`Snapshot.masks` of the scores."""
    shown: bool = True
    """Whether the charts show it."""

    @property
    def history(self) -> tuple[StepRecord, ...]:
        """The records, oldest first."""
        return self.moment.history

    @property
    def prune_scores(self) -> PruneScores:
        """The scores at its end."""
        return self.moment.prune_scores

    @property
    def n_steps(self) -> int:
        """Steps that the whole training would have taken."""
        return self.status.n_steps

    def __repr__(self) -> str:
        return f"FinishedRun({self.name!r}: {self.result})"

    @property
    def result(self) -> str:
        """In a line, how it ended."""
        last = self.history[-1]
        of = "" if last.step == self.n_steps else f" of {self.n_steps:,}"
        text = f"{last.step:,}{of} steps, loss {last.loss:.4g}, {last.hard_edge_count:,} edges"
        if self.evaluations:
            text += f", hard circuit {self.evaluations[-1].faithfulness:.4g}"
        labels = {name: each.label for name, each in parameters(self.config).items()}
        done = [
            _in_words(each, labels)
            for each in self.interventions
            if each.action not in ("evaluate", "threads")
        ]
        return "; ".join([text, *done])


def _names(number: int) -> Iterator[str]:
    """Names for a run, from the plainest on."""
    yield f"Run {number}"
    yield from (f"Run {number} ({n})" for n in itertools.count(2))


def _in_words(done: Intervention, labels: Mapping[str, str]) -> str:
    if done.action == "restore_best":
        return f"best masks restored after step {done.step:,}"
    return f"{labels[done.action]} {done.value:g} from step {done.step + 1:,}"


class RunData(TypedDict):
    """A finished run as the panel shows it."""

    number: int
    name: str
    result: str
    differences: str
    """To the run before it, in words: `since Run 1: Lambda 10 → 3`; empty for the first."""
    shown: bool


class Runs:
    """The list of finished runs, oldest first. Thread-safe: every change makes a new tuple."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: tuple[FinishedRun, ...] = ()
        self._number = 0

    @property
    def all(self) -> tuple[FinishedRun, ...]:
        """The runs at this moment."""
        return self._runs

    def keep(self, run: FinishedRun) -> None:
        """Add a run; it gets the next number, and a name made of it."""
        with self._lock:
            self._number += 1
            number = self._number
            # A person may have given its name to another run.
            taken = {each.name for each in self._runs}
            name = next(name for name in _names(number) if name not in taken)
            self._runs += (replace(run, number=number, name=name),)

    def restore(self, run: FinishedRun) -> None:
        """Add a run with the number and the name that it had."""
        with self._lock:
            self._number = max(self._number, run.number)
            self._runs += (run,)

    @property
    def next_number(self) -> int:
        """What the next run that is kept will have."""
        return self._number + 1

    def rename(self, number: int, name: str) -> None:
        """Give a run another name. Raises `ArgumentError` for an empty or a taken one."""
        name = name.strip()
        with self._lock:
            if not name:
                raise ArgumentError("name", "a name for the run", name)
            if any(run.name == name and run.number != number for run in self._runs):
                raise ArgumentError("name", "a name that no other run has", name)
            self._change(number, name=name)

    def show(self, number: int, shown: bool) -> None:
        """Show a run in the chart, or hide it."""
        with self._lock:
            self._change(number, shown=shown)

    def delete(self, number: int) -> None:
        """Forget a run."""
        with self._lock:
            self._require(number)
            self._runs = tuple(run for run in self._runs if run.number != number)

    def _change(self, number: int, **changes: Any) -> None:
        self._require(number)
        self._runs = tuple(
            replace(run, **changes) if run.number == number else run for run in self._runs
        )

    def _require(self, number: int) -> None:
        numbers = [run.number for run in self._runs]
        if number not in numbers:
            raise ArgumentError("number", f"that of a run, one of {numbers}", number)


def in_chart(runs: Sequence[FinishedRun]) -> list[PastRun]:
    """Those that the chart shows."""
    return [PastRun(run.name, run.history) for run in runs if run.shown]


def in_panel(runs: Sequence[FinishedRun]) -> list[RunData]:
    """What the panel shows of them."""
    before = [None, *runs[:-1]]
    return [
        RunData(
            number=run.number,
            name=run.name,
            result=run.result,
            differences="" if earlier is None else _since(earlier, run.config, run.seed_was_drawn),
            shown=run.shown,
        )
        for earlier, run in zip(before, runs, strict=False)
    ]


def since_last(runs: Sequence[FinishedRun], config: MethodConfig) -> str:
    """How `config`, of the run at hand, differs from the last one that was kept."""
    return _since(runs[-1], config, config.seed is None) if runs else ""


def _since(run: FinishedRun, config: MethodConfig, seed_is_drawn: bool) -> str:
    # That two drawn seeds differ is nobody's doing.
    drawn = run.seed_was_drawn or seed_is_drawn
    changed = differences(run.config, replace(config, seed=run.config.seed) if drawn else config)
    return f"since {run.name}: {changed}"


def differences(before: MethodConfig, after: MethodConfig) -> str:
    """Return what changed from one config to another: `Lambda 10 → 3, Epochs 20 → 50`."""
    if type(before) is not type(after):
        return f"{methods.of(before).title} → {methods.of(after).title}"
    changed = []
    for name, each in parameters(before).items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            changed.append(f"{each.label} {each.text(old)} → {each.text(new)}")
    return ", ".join(changed) or "the same settings"

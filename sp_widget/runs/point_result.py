"""How a point of a sweep stands, read from its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sp_widget.methods.record import StepRecord
from sp_widget.methods.run_files import CONFIG, exists
from sp_widget.runs.folder import EVALUATION, RunFolder
from sp_widget.runs.point import Point
from sp_widget.runs.status import STATUS, RunState, RunStatus, read_status

PointState: TypeAlias = RunState | Literal["waiting"]
"""`waiting`: nobody has begun with it."""

UNDER_WAY = ("preparing", "running", "stopping")

OTHER_AREAS = ("acc_auc", "cpr", "cmd", "auroc")
"""What is measured beside `log_area` where prompts and task allow it."""

_RECENT = 20
"""Steps from whose time that of the others is told."""


@dataclass(frozen=True)
class PointResult:
    """A row of the table of a sweep."""

    name: str
    """Of the run's folder."""
    point: Point
    state: PointState
    step: int = 0
    n_steps: int = 0
    """Of the whole run; 0: not known yet."""
    edges: int | None = None
    """In the hard circuit at the last checkpoint."""
    seconds: float = 0.0
    """That the steps so far took."""
    processor_seconds: float = 0.0
    """Of the processor, for these steps."""
    seconds_left: float | None = None
    """That the others will take; of a run that is under way."""
    metric: str = ""
    """What `value` and `log_area` are: `kl_div` or `mse`; empty: not measured yet."""
    value: float | None = None
    """Of the circuit of so many edges, on the validation prompts."""
    log_area: float | None = None
    """The mean of the metric over ln k, from one edge to all."""
    acc_auc: float | None = None
    """As in `Evaluation`, and so are `cpr` and `cmd`; `None` where the answers are numbers."""
    cpr: float | None = None
    cmd: float | None = None
    auroc: float | None = None
    """Of the known edges of the task; `None` where nobody knows them."""
    error: str = ""
    """In a line, why it failed."""
    traceback: str = field(default="", repr=False)
    """Where that was raised."""

    @property
    def progress(self) -> float:
        """The share of the steps that is done."""
        return self.step / self.n_steps if self.n_steps else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing will change: it is done and measured, or it failed."""
        return self.state in ("failed", "stopped") or self.finished

    @property
    def finished(self) -> bool:
        """Whether it is done and measured."""
        return self.state == "done" and self.value is not None


class PointReader:
    """Reads one point again and again; of files that are the same, once."""

    def __init__(self, folder: Path, point: Point) -> None:
        self.folder, self.point = folder, point
        self._run: RunFolder | None = None
        self._seen: tuple[int, ...] = ()
        self._status: RunStatus | None = None
        self._last = PointResult(folder.name, point, "waiting")

    @property
    def run(self) -> RunFolder | None:
        """The run; `None`: it has not begun."""
        if self._run is None and exists(self.folder / CONFIG):
            self._run = RunFolder(self.folder)
        return self._run

    def read(self) -> PointResult:
        """Return how the point stands. Raises `ArgumentError` for a damaged file."""
        run, seen = self.run, tuple(map(_version, (self.folder / STATUS, self.folder / EVALUATION)))
        if seen != self._seen:
            self._status, self._last = self._read(run)
            self._seen = seen
        if self._status is None or run is None or self._last.state not in UNDER_WAY:
            return self._last
        # Whether the process still lives stands in no file.
        state = run.status.state
        if state not in UNDER_WAY:
            return replace(self._last, state=state, seconds_left=None)
        return replace(self._last, seconds_left=_left(self._last.seconds_left, self._status))

    def _read(self, run: RunFolder | None) -> tuple[RunStatus | None, PointResult]:
        waiting = PointResult(self.folder.name, self.point, "waiting")
        if not exists(self.folder / STATUS):
            return None, waiting
        status = read_status(self.folder)
        found = replace(
            waiting,
            state=status.state,
            step=status.step,
            n_steps=status.n_steps,
            error=status.error,
            traceback=status.traceback,
        )
        history = run.history if run is not None else []
        if history:
            found = replace(
                found,
                edges=history[-1].hard_edge_count,
                seconds=sum(record.seconds for record in history),
                processor_seconds=sum(record.processor_seconds for record in history),
            )
            if status.state in UNDER_WAY:
                left = _seconds_of(history, status.n_steps - status.step)
                found = replace(found, seconds_left=left)
        evaluation = run.evaluation if run is not None else None
        if evaluation is not None:
            found = replace(found, **_numbers(evaluation))
        return status, found


def in_short(results: Sequence[PointResult]) -> str:
    """Return how many points are in which state: `6 done, 1 running`."""
    states = Counter(each.state for each in results)
    return ", ".join(f"{n} {state}" for state, n in states.items())


def _version(path: Path) -> int:
    """Return something that is another after the file was replaced."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return 0
    return hash((found.st_mtime_ns, found.st_ino, found.st_size))


def _seconds_of(history: Sequence[StepRecord], n_steps: int) -> float:
    recent = history[-_RECENT:]
    return n_steps * sum(record.seconds for record in recent) / len(recent)


def _left(at_checkpoint: float | None, status: RunStatus) -> float | None:
    """Return the seconds left now: those at the last checkpoint, less what went by since then."""
    if at_checkpoint is None:
        return None
    try:
        since = datetime.now(timezone.utc) - datetime.fromisoformat(status.updated)
    except (ValueError, TypeError):
        return at_checkpoint
    return max(0.0, at_checkpoint - max(0.0, since.total_seconds()))


def _numbers(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the worker measured; what somebody else wrote there is left alone."""
    value, area, metric = (evaluation.get(name) for name in ("value", "log_area", "metric"))
    if not isinstance(value, float) or not isinstance(area, float) or not isinstance(metric, str):
        return {}
    areas = {name: evaluation.get(name) for name in OTHER_AREAS}
    known = {name: number for name, number in areas.items() if isinstance(number, float)}
    return {"metric": metric, "value": value, "log_area": area, **known}

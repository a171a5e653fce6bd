"""Many runs of one model: made by an executor, each in its folder, and read from there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import is_whole_number
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, StateError, require_switches
from sp_widget.evaluation.model_factory import ModelFactory, check_factory
from sp_widget.evaluation.result_table import html_table, text_table
from sp_widget.evaluation.stability import Executor
from sp_widget.methods.config_text import value_to_json
from sp_widget.methods.run_files import SCORES, exists, folder_of
from sp_widget.runs.folder import RunFolder
from sp_widget.runs.one_process import OneProcess
from sp_widget.runs.point import POINT, Grid, Point, points_of, read_point, write_point
from sp_widget.runs.point_result import OTHER_AREAS, PointReader, PointResult, in_short
from sp_widget.runs.sweep_worker import Job

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

_SHOWN = 40
"""Rows of the table in a cell."""

_BETWEEN_LOOKS = 0.1
"""Seconds."""


@dataclass
class _Asked:
    """What `sweep` gave to an executor."""

    mark: Path
    """The file that says that nobody wants it any more."""
    futures: list[Any] = field(default_factory=list)
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True
        self.mark.touch()
        for future in self.futures:
            if not future.done():
                future.cancel()

    def errors(self) -> list[BaseException]:
        """Return why the executor lost jobs. A job itself raises nothing of what fails in it."""
        errors: list[BaseException] = []
        for future in self.futures:
            try:
                future.result()
            except CancelledError:
                continue
            except BaseException as error:
                # An interrupt in the process of the executor comes here as well.
                errors.append(error)
        return errors


class Sweep:
    """The runs of a sweep as they stand in its folder, whoever makes them.

    Raises `ArgumentError` for a folder without a sweep; so does what reads a damaged file.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = folder_of(folder)
        self._readers: dict[str, PointReader] = {}
        self._asked: _Asked | None = None
        if not self._all():
            raise ArgumentError("folder", "a folder with a sweep", str(folder))

    @property
    def results(self) -> list[PointResult]:
        """How every point stands at this moment, in the order of the grid."""
        return [reader.read() for reader in self._all()]

    @property
    def runs(self) -> list[RunFolder]:
        """The runs that have begun, in the order of the grid."""
        return [run for reader in self._all() if (run := reader.run) is not None]

    @property
    def frame(self) -> DataFrame:
        """A row for every point, as a pandas table.

        Columns: `run` (the name of its folder), the fields of the points, `state`, `progress` (from
        0 to 1), `edges` (in the hard circuit), `kl_div` (of the circuit of so many edges, on the
        validation prompts; `mse` where the answers are numbers), `log_area` (its mean over ln k),
        `acc_auc`, `cpr`, `cmd` (as in `Evaluation`), `auroc` (of the known edges of a task),
        `seconds` (that the steps took), `processor_seconds` (the same, of the processor),
        `seconds_left`, `error`. A setting of one of these names stands under its name with
        `_setting` behind it.
        """
        import pandas

        results = self.results
        metric = _metric(results)
        measured: dict[str, list[Any]] = {
            "state": [each.state for each in results],
            "progress": [each.progress for each in results],
            "edges": [each.edges for each in results],
            metric: [each.value for each in results],
        }
        times = ("seconds", "processor_seconds", "seconds_left")
        for name in ("log_area", *OTHER_AREAS, *times, "error"):
            measured[name] = [getattr(each, name) for each in results]
        columns: dict[str, Any] = {"run": [each.name for each in results]}
        for name in _fields(results):
            title = f"{name}_setting" if name in measured or name == "run" else name
            columns[title] = [each.point.fields.get(name) for each in results]
        columns |= measured
        for name, values in columns.items():
            if all(value is None or is_whole_number(value) for value in values):
                # Else one that is missing would make floating-point numbers of all.
                columns[name] = pandas.array(values, dtype="Int64")
        numbers = dict.fromkeys((metric, "log_area", *OTHER_AREAS, "seconds_left"), float)
        return pandas.DataFrame(columns).astype(numbers)

    def prune_scores(self, model: PatchableModel, **fields: Any) -> list[PruneScores]:
        """Return the scores of the runs that are done, in the order of the grid.

        `fields`: of those only whose point has these values, such as `method="eap_ig"`. What
        `sp.stability` takes. Raises `ArgumentError` for another model.
        """
        wanted = {name: value_to_json(name, value) for name, value in fields.items()}
        return [
            PruneScores.load(self.path / each.name / SCORES, model.graph)
            for each in self.results
            if each.state == "done"
            and all(each.point.fields.get(name) == value for name, value in wanted.items())
        ]

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw what the circuits lose against their edges, and the Pareto front (matplotlib)."""
        # Not at the top: numbers need no drawing library.
        from sp_widget.runs.draw_sweep import draw_sweep

        return draw_sweep(self.results, axes)

    def wait(self, timeout: float | None = None) -> Sweep:
        """Return the sweep when all that was asked for is made, failed or cancelled.

        Of a sweep that is only read: when every point is done and measured, or failed.
        An interrupt cancels what was asked for here, as `cancel` does.

        Raises `TimeoutError` after `timeout` seconds, and `StateError` where the executor lost
        points, such as when their process was killed too often: all others are made then.
        """
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._over():
                if end is not None and time.monotonic() > end:
                    raise TimeoutError(f"after {timeout} s: {in_short(self.results)}")
                time.sleep(_BETWEEN_LOOKS)
        except KeyboardInterrupt:
            if self._asked is not None:
                self._asked.cancel()
            raise
        if self._asked is not None and not self._asked.cancelled:
            _require_none(self._asked.errors(), len(self._asked.futures))
        return self

    def cancel(self) -> None:
        """Begin no more runs, and pause those that are under way after their step.

        All that is done is kept: `sp.sweep` with the same folder goes on from there. Returns at
        once; `wait` waits for the pause. Raises `StateError` for a sweep that is only read.
        """
        if self._asked is None:
            raise StateError("this sweep is only read: whoever began it can cancel it")
        self._asked.cancel()

    def __repr__(self) -> str:
        return text_table(self._caption, *self._table())

    def _repr_html_(self) -> str:
        return html_table(self._caption, *self._table())

    # --- inside -----------------------------------------------------------------------------

    def _all(self) -> list[PointReader]:
        """Return the readers of all points; somebody may have added some."""
        places = {}
        for folder in self.path.iterdir() if self.path.is_dir() else ():
            if folder.name not in self._readers and exists(folder / POINT):
                point, places[folder.name] = read_point(folder)
                self._readers[folder.name] = PointReader(folder, point)
        if places:
            found = list(self._readers.items())
            # New ones come last.
            found.sort(key=lambda each: places.get(each[0], -1))
            self._readers = dict(found)
        return list(self._readers.values())

    def _over(self) -> bool:
        if self._asked is not None:
            return all(future.done() for future in self._asked.futures)
        return all(each.over for each in self.results)

    @property
    def _caption(self) -> str:
        n_points = len(self._all())
        return f"Sweep of {n_points} point{'s' * (n_points != 1)}: {in_short(self.results)}"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        results = self.results
        names = _fields(results)
        known = ("progress", "edges", _metric(results), "log area", "seconds", "left")
        titles = [*names, "state", *known]
        rows = [
            [_in_words(each.point.fields.get(name)) for name in names]
            + [
                each.state if not each.error else f"{each.state}: {each.error}"[:80],
                f"{each.progress:.0%}",
                "" if each.edges is None else f"{each.edges:,}",
                _in_words(each.value),
                _in_words(each.log_area),
                f"{each.seconds:.1f}",
                "" if each.seconds_left is None else f"{each.seconds_left:.0f} s",
            ]
            for each in results[:_SHOWN]
        ]
        if len(results) > _SHOWN:
            rest = f"… and {len(results) - _SHOWN} more"
            rows.append([rest, *[""] * (len(titles) - 1)])
        return titles, rows


def sweep(
    model_factory: ModelFactory,
    grid: Grid,
    folder: str | Path,
    executor: Executor | None = None,
    *,
    threads: int = 1,
    validate: bool = True,
) -> Sweep:
    """Make a run for every point of a grid, each in a folder of its own, and measure its scores.

    Returns at once; see `Sweep.wait` and `Sweep.frame`. In the folder a point that is done is
    skipped, and one that is half done, or failed, goes on from its checkpoint bit for bit: called
    again after whatever happened, it makes what is missing.

    Args:
        model_factory: Called without arguments in each worker: returns the patchable model and the
            dataloader, and a validation dataloader if there is one, or what `sp.tasks.load`
            returns. It must return the same model and prompts every time. Processes import it by
            its name, so it has to stand in a module, and not in a cell: an executor that pickles by
            value, such as Dask's, takes any.
        grid: Values for each field, `{"method": ["eap_ig", "acdc"], "seed": range(5)}`, of which
            every combination is a point; or the points, `[{"seed": 0}, {"seed": 1}]`. Fields are
            `method` (default: subnetwork probing), `bootstrap_sample` (a number: the run trains on
            that sample of the prompts, as in `sp.stability`), and the settings of the method.
            Settings that are not there are those that the panel begins with.
        folder: Of the sweep. Points may be added later.
        executor: Whatever has `submit`: a pool of `concurrent.futures`, Dask's
            `Client.get_executor()`, an executor of submitit. Default: one process beside this one,
            which ends with the last point.
        threads: That torch uses for a run. The last bits of the numbers depend on it.
        validate: Validate while training, on the validation prompts, as the panel does. Without it
            they only measure the scores of a run that is done: the scores are the same, and the
            training takes less time.

    Raises `ArgumentError` with the name of a bad argument, before anything is begun.
    """
    points = points_of(grid)
    path = folder_of(folder).absolute()
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ArgumentError("executor", "None, or something with a method submit", executor)
    check_factory("model_factory", model_factory, executor)
    if not is_whole_number(threads) or threads < 1:
        raise ArgumentError("threads", "a whole number of at least 1", threads)
    require_switches(validate=validate)
    _add_points(path, points)
    made = Sweep(path)
    asked = _Asked(mark=path / f".cancelled-{uuid.uuid4().hex}")
    made._asked = asked
    names = {point.name for point in points}
    todo = [each.point for each in made.results if each.name in names and not each.finished]
    if todo:
        there: Executor = OneProcess() if executor is None else executor
        for point in todo:
            job = Job(str(path), point, model_factory, str(asked.mark), threads, validate)
            asked.futures.append(there.submit(job))
        if isinstance(there, OneProcess) and executor is None:
            there.shutdown(wait=False)
    return made


def _add_points(folder: Path, points: Sequence[Point]) -> None:
    """Write those points that the folder does not have yet, behind those that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [read_point(each)[1] for each in folder.iterdir() if exists(each / POINT)]
    for place, point in enumerate(points, max(places, default=-1) + 1):
        if not exists(folder / point.name / POINT):
            write_point(folder / point.name, point, place)


def _require_none(errors: Sequence[BaseException], n_jobs: int) -> None:
    """Raise `StateError` if the executor has lost jobs."""
    if errors:
        raise StateError(
            f"the executor lost {len(errors)} of {n_jobs} points, the first because of "
            f"{type(errors[0]).__name__}: {errors[0]}. sp.sweep with the same folder goes on with "
            "them."
        ) from errors[0]


def _fields(results: Sequence[PointResult]) -> list[str]:
    """Return the names of all fields, in the order in which they come up."""
    return list(dict.fromkeys(name for each in results for name in each.point.fields))


def _metric(results: Sequence[PointResult]) -> str:
    return next((each.metric for each in results if each.metric), "kl_div")


def _in_words(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""A sweep in the notebook: how its runs stand, and the circuit of the one that a person chose.

Table and plot are TypeScript (`js/src/sweep/`). Here are the traits that they show, and what reads
the folder.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import ipywidgets
import traitlets
from IPython.display import display

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.draw_curve import LABELS
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.run_files import SCORES, exists
from sp_widget.runs.draw_sweep import pareto_front
from sp_widget.runs.point_result import PointResult, in_short
from sp_widget.runs.sweep import Sweep
from sp_widget.widget import lifetime
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.comm_routing import deliver_where_addressed
from sp_widget.widget.locked import LockedWidget
from sp_widget.widget.publisher import Publisher

SECONDS_BETWEEN = 0.5
"""From one look at the folder to the next, at least."""

SECONDS_WHEN_OVER = 5.0
"""The same where nothing is left to be made: somebody may add points."""

MOST_ROWS = 500
"""That travel to the browser."""


class SweepRow(TypedDict):
    """A point as the table shows it."""

    name: str
    """Of the run's folder."""
    fields: list[str]
    state: str
    progress: float
    """From 0 to 1."""
    edges: int | None
    value: float | None
    """What the circuit of so many edges loses."""
    seconds: float
    seconds_left: float | None
    error: str
    front: bool
    """Whether it lies on the Pareto front."""


class SweepTable(LockedWidget, bundle="sweep"):
    """The table of a sweep and the plot above it. A click chooses a run."""

    fields = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """What the points differ in: the first columns."""
    metric = traitlets.Unicode("").tag(sync=True)
    """What the circuits lose is measured as."""
    rows = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[SweepRow])
    summary = traitlets.Unicode("").tag(sync=True)
    """How many points are in which state."""
    chosen = traitlets.Unicode("").tag(sync=True, browser=True)
    """The run that a person chose, by the name of its folder."""
    detail = traitlets.Unicode("").tag(sync=True)
    """What there is to say of it: where it lies, or why it failed."""

    def __init__(self) -> None:
        super().__init__()
        # A click is answered while a cell runs.
        deliver_where_addressed(self.comm)

    def __repr__(self) -> str:
        return f"SweepTable({self.summary})"


class SweepView(ipywidgets.VBox):  # type: ignore[misc]
    """The runs of a sweep, live: a table, a plot of what circuits lose against their edges.

    It only reads the folder, so it shows a sweep that another kernel or a cluster makes as well.
    A click on a run shows its circuit, where there is a model, and why it failed.

    Args:
        sweep: What `sp.sweep` returned, or the folder of a sweep.
        model: That of the sweep, for the circuits; without it there are none.
        official_edges: The edges of a known circuit, as for `CircuitView`.

    Raises `ArgumentError` with the name of a bad argument.
    """

    def __init__(
        self,
        sweep: Sweep | str | Path,
        model: PatchableModel | None = None,
        official_edges: Collection[Edge] | None = None,
    ) -> None:
        # A reader of its own: others may read the sweep in other threads.
        self._sweep = Sweep(sweep.path if isinstance(sweep, Sweep) else sweep)
        self._model = model
        self.table = SweepTable()
        self.circuit = None if model is None else CircuitView(model, official_edges)
        self._drawn: tuple[str, int | None] | None = None
        """The run whose circuit is shown, and its steps; `None`: it has no scores yet."""
        self._publisher = Publisher(self._publish, interval=SECONDS_BETWEEN)
        super().__init__([self.table] if self.circuit is None else [self.table, self.circuit])
        self.table.observe(self._choose, "chosen")
        self._parts = lifetime.hold_weakly(self)
        lifetime.watch(self)
        self._publisher.wake()

    @property
    def chosen(self) -> str:
        """The run that is chosen, by the name of its folder; empty: none."""
        return str(self.table.chosen)

    def choose(self, run: str) -> None:
        """Show the circuit of a run, by the name of its folder. Safe from any thread."""
        self.table.update(chosen=run)

    def close(self) -> None:
        """Remove the view from the page, and read the folder no more."""
        if "_publisher" in vars(self):
            self._publisher.close()
            lifetime.forget(self)
            for part in self._parts:
                if part is not self:
                    part.close()
        super().close()

    def __repr__(self) -> str:
        return f"SweepView({self.table.summary})"

    def _ipython_display_(self) -> None:
        lifetime.keep_while_shown(self)
        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]

    def _choose(self, _: object) -> None:
        self._publisher.wake()

    def _publish(self) -> float:
        """Show how the sweep stands; called by one thread at a time."""
        try:
            results = self._sweep.results
        except ArgumentError as error:
            # Such as a file that another version wrote. It may be replaced.
            self.table.update(summary=str(error))
            return SECONDS_WHEN_OVER
        chosen = next((each for each in results if each.name == self.chosen), None)
        self.table.update(**_traits(results), detail="" if chosen is None else _detail(chosen))
        if chosen is not None:
            self._draw(chosen)
        return SECONDS_WHEN_OVER if all(each.over for each in results) else SECONDS_BETWEEN

    def _draw(self, chosen: PointResult) -> None:
        path = self._sweep.path / chosen.name / SCORES
        has_scores = exists(path)
        now = (chosen.name, chosen.step if has_scores else None)
        if self.circuit is None or self._model is None or now == self._drawn:
            return
        if not has_scores:
            # What is shown is the circuit of another run.
            self.circuit.clear()
            self._drawn = now
            return
        with suppress(ArgumentError):
            # One that is replaced at this moment is there at the next look.
            scores = PruneScores.load(path, self._model.graph)
            self.circuit.show_scores(scores, chosen.edges)
            self._drawn = now


def _detail(chosen: PointResult) -> str:
    if not chosen.error:
        return f"Its folder: {chosen.name}"
    # First why: the end of a long traceback is out of sight.
    return f"{chosen.error}\n\n{chosen.traceback}".rstrip()


def _traits(results: list[PointResult]) -> dict[str, Any]:
    shown = results[:MOST_ROWS]
    fields = list(dict.fromkeys(name for each in results for name in each.point.fields))
    measured = [each for each in shown if each.edges is not None and each.value is not None]
    dots = [(each.edges or 0, each.value or 0.0) for each in measured]
    front = {measured[index].name for index in pareto_front(dots)}
    metric = next((each.metric for each in results if each.metric), "kl_div")
    return {
        "fields": fields,
        "metric": LABELS.get(metric, metric),
        "summary": in_short(results),
        "rows": [
            SweepRow(
                name=each.name,
                fields=[
                    "" if name not in each.point.fields else str(each.point.fields[name])
                    for name in fields
                ],
                state=each.state,
                progress=each.progress,
                edges=each.edges,
                value=each.value,
                seconds=round(each.seconds, 1),
                seconds_left=None if each.seconds_left is None else round(each.seconds_left),
                error=each.error,
                front=each.name in front,
            )
            for each in shown
        ],
    }

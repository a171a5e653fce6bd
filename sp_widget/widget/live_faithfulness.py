"""The faithfulness view as it follows a session: the present run and those that are kept."""

from __future__ import annotations

from typing import Any, Literal

from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.session import ENDED, Snapshot
from sp_widget.session.background_evaluation import BackgroundEvaluation
from sp_widget.widget.faithfulness import FaithfulnessView
from sp_widget.widget.runs import Runs

PRESENT = "This run"


def measured_runs(
    snapshot: Snapshot, background: BackgroundEvaluation, runs: Runs
) -> dict[str, Evaluation]:
    """Return what the present run and those that are shown were measured to, by their names."""
    measured = background.measured
    present = None if snapshot.state == "idle" else measured.get(snapshot.masks)
    named = {} if present is None else {PRESENT: present.evaluation}
    # The latest first: where the present run has no curve, it is drawn with all its parts.
    for run in reversed(runs.all):
        if run.shown and run.masks in measured:
            named[run.name] = measured[run.masks].evaluation
    return named


class LiveFaithfulness:
    """Brings what a session's runs were measured to into a view. Used by one thread at a time."""

    def __init__(
        self, view: FaithfulnessView, background: BackgroundEvaluation, runs: Runs
    ) -> None:
        self._view = view
        self._background = background
        self._runs = runs
        self._shown: Any = None

    def follow(self, snapshot: Snapshot) -> None:
        """Show what is measured by now; sends nothing if nothing changed."""
        named = measured_runs(snapshot, self._background, self._runs)
        note, measure = self._state(snapshot, PRESENT in named)
        # Evaluations never change: which ones they are tells all.
        shown = ({name: id(each) for name, each in named.items()}, note, measure)
        if shown != self._shown:
            self._shown = shown
            self._view.show(named, note=note, measure=measure)

    def _state(
        self, snapshot: Snapshot, measured: bool
    ) -> tuple[str, Literal["never", "later", "now"]]:
        progress = self._background.progress
        if progress is not None:
            done, total = progress
            under_way = snapshot.state in ("preparing", "running", "stopping")
            rest = "; it goes on when the training pauses or ends" if under_way else ""
            return f"Measuring the curve: {100 * done // max(total, 1)} %{rest}.", "later"
        if measured:
            return "", "later"
        if snapshot.state in ("paused", *ENDED) and snapshot.step:
            return "The present scores are not measured yet.", "now"
        return "A run is measured when it ends, or while it is paused.", "later"

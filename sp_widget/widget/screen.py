"""What the browser shows of a session, brought up to date by one thread at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from sp_widget import methods
from sp_widget.evaluation.diagnosis import Diagnosis, diagnose
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.parameter import parameters
from sp_widget.methods.record import HardEvaluation
from sp_widget.session import Session, Snapshot
from sp_widget.session.background_evaluation import BackgroundEvaluation
from sp_widget.widget.chart import Chart
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.faithfulness import FaithfulnessView
from sp_widget.widget.live_circuit import LiveCircuit
from sp_widget.widget.live_faithfulness import LiveFaithfulness
from sp_widget.widget.live_prompts import LivePrompts
from sp_widget.widget.namespace import Delivery
from sp_widget.widget.panel import ControlPanel
from sp_widget.widget.runs import FinishedRun, Runs, in_chart, in_panel, since_last
from sp_widget.widget.status import status_of, validation_of

SECONDS_BETWEEN_SUMMARIES = 1.0

SECONDS_BETWEEN_DIAGNOSES = 1.0


class Screen:
    """Panel, chart, circuit, faithfulness view and prompts as they follow a session."""

    def __init__(
        self,
        panel: ControlPanel,
        chart: Chart,
        circuit: CircuitView,
        faithfulness: FaithfulnessView,
        prompts: LivePrompts,
        session: Session,
        background: BackgroundEvaluation,
        runs: Runs,
        delivery: Delivery,
        *,
        validation: bool,
        n_batches: int,
        n_edges: int,
        wake: Callable[[], None],
    ) -> None:
        self._panel = panel
        self._chart = chart
        self._circuit = circuit
        self._session = session
        self._runs = runs
        self._delivery = delivery
        self._validation = validation
        self._n_batches = n_batches
        self._n_edges = n_edges
        self._background = background
        self._live_circuit = LiveCircuit(circuit, session, wake)
        self._live_faithfulness = LiveFaithfulness(faithfulness, background, runs)
        self._live_prompts = prompts
        self._diagnosis: list[Diagnosis] = []
        self._diagnosed_at = 0.0
        self._drawn: tuple[int, bool] = (0, True)
        self._described_at = 0.0
        self._drawn_runs: tuple[FinishedRun, ...] = ()
        self._drawn_evaluations: tuple[HardEvaluation, ...] = ()

    @property
    def messages_per_update(self) -> int:
        """Messages that one `show` sends while training: the panel's, the chart's, and one more
        for a new evaluation."""
        return self._chart.messages_per_update + 2

    def show(
        self, snapshot: Snapshot, *, config: MethodConfig, n_steps: int, notice: str
    ) -> float | None:
        """Bring everything up to date with `snapshot`.

        Args:
            config: of the run, or of the run that would start now.
            n_steps: of the run that would start now.
            notice: a sentence for the person; without one, where the scores are.

        Returns the seconds after which to call it again; `None`: when something changes.
        """
        self._chart.show_series(methods.of(config).series_for(self._validation))
        self._draw(snapshot)
        runs = self._runs.all
        self._panel.update(
            status=status_of(
                snapshot,
                n_batches=self._n_batches,
                n_steps=n_steps,
                n_edges=self._n_edges,
                message=notice or self._delivery.outcome,
            ),
            diagnosis=self._diagnose(snapshot),
            overwrite_prompt=self._delivery.question,
            validation=validation_of(
                snapshot,
                validation=self._validation,
                target=parameters(config)["faithfulness_target"].text(config.faithfulness_target),
            ),
            runs=in_panel(runs),
            since_last_run=since_last(runs, config),
        )
        self._live_faithfulness.follow(snapshot)
        again = self._live_circuit.follow(snapshot)
        self._live_prompts.follow(self._live_circuit.shown)
        return again

    def _diagnose(self, snapshot: Snapshot) -> list[Diagnosis]:
        now = time.monotonic()
        if snapshot.state == "running" and now - self._diagnosed_at < SECONDS_BETWEEN_DIAGNOSES:
            return self._diagnosis
        self._diagnosed_at = now
        measured = self._background.measured.get(snapshot.masks)
        self._diagnosis = diagnose(
            self._session.history,
            n_edges=self._n_edges,
            best=snapshot.best,
            evaluation=None if measured is None else measured.evaluation,
            on_training=None if measured is None else measured.on_training,
        )
        return self._diagnosis

    def _draw(self, snapshot: Snapshot) -> None:
        drawing = (snapshot.run, snapshot.state == "idle")
        anew = drawing != self._drawn
        if anew:
            self._chart.clear()
            self._drawn = drawing
        records = self._session.records(self._chart.n_steps)
        self._chart.append(records)
        if records or anew:
            self._chart.draw()
        now = time.monotonic()
        if snapshot.state != "running" or now - self._described_at > SECONDS_BETWEEN_SUMMARIES:
            self._described_at = now
            self._chart.describe()
        if anew or snapshot.evaluations != self._drawn_evaluations:
            self._drawn_evaluations = snapshot.evaluations
            self._chart.show_evaluations(snapshot.evaluations)
        runs = self._runs.all
        if runs is not self._drawn_runs:
            self._drawn_runs = runs
            self._chart.show_runs(in_chart(runs))
            self._circuit.show_runs({run.name: run.prune_scores for run in runs})

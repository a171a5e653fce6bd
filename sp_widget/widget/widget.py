"""The panel, the chart, the session and the notebook's variable, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import ipywidgets

from sp_widget.core.data import PromptDataLoader
from sp_widget.core.graph import Edge
from sp_widget.core.patchable_model import PatchableModel
from sp_widget.core.scores import PruneScores
from sp_widget.errors import ArgumentError, StateError
from sp_widget.session import ACTIVE, LIVE_PARAMETERS, Session, State, Trainer
from sp_widget.training.config import SubnetworkProbingConfig
from sp_widget.training.record import StepRecord
from sp_widget.training.series import series_for
from sp_widget.training.trainer import SubnetworkProbing
from sp_widget.widget.chart import Chart
from sp_widget.widget.comm_routing import (
    deliver_where_addressed,
    responsiveness_note,
    responsiveness_note_for_message,
)
from sp_widget.widget.form import Form
from sp_widget.widget.namespace import Delivery, name_problem
from sp_widget.widget.panel import ControlPanel
from sp_widget.widget.publisher import Publisher
from sp_widget.widget.status import describe, status_of

MAX_UPDATES_PER_SECOND = 10
MAX_MESSAGES_PER_SECOND = 33
"""Of updates on average, so that even a second that begins with one has fewer than 40."""
SECONDS_BETWEEN_SUMMARIES = 1.0


class SubnetworkProbingWidget(ipywidgets.VBox):  # type: ignore[misc]
    """Subnetwork probing from a control panel in the notebook, with a live chart.

    Display it, press Start; the training runs in the background. When it is done or stopped,
    the scores are in the notebook's variable named `save_as`, and always in `prune_scores`.

    Everything that the panel does can be done from code as well, from any thread.

    Args:
        model: what `sp_widget.patchable_model` returns.
        dataloader: the prompt pairs to train on.
        validation_dataloader: prompt pairs that are only measured.
        config: what the panel shows at first; by default `SubnetworkProbingConfig()`.
        official_edges: the edges of a known circuit, to compare with.
        save_as: the notebook's variable for the scores. One that holds anything but scores is
            overwritten only after a person agreed in the panel.

    Raises `ArgumentError` with the name of a bad argument.
    """

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None = None,
        *,
        config: SubnetworkProbingConfig | None = None,
        official_edges: Collection[Edge] | None = None,
        save_as: str = "prune_scores",
    ) -> None:
        _check(model, dataloader, validation_dataloader, config, official_edges, save_as)
        self._model = model
        self._dataloader = dataloader
        self._validation_dataloader = validation_dataloader
        self.official_edges = None if official_edges is None else frozenset(official_edges)

        config = SubnetworkProbingConfig() if config is None else config
        self.panel = ControlPanel(config, save_as=save_as)
        self.chart = Chart(series_for(validation_dataloader is not None))
        # Whatever a handler changes is changed under the panel's lock: a handler runs on the
        # main thread or on a subshell's, while code in a cell may ask for the same thing.
        # Nothing waits for the training thread under this lock, which never takes it.
        self._lock = self.panel.lock
        self._form = Form.of(config)
        self._run_config = config
        self._notice = ""
        self._delivery = Delivery(save_as.strip())
        self._session = Session(self._new_trainer, on_end=self._deliver)
        # Of the publisher alone.
        self._drawn: tuple[int, bool] = (0, True)
        self._described_at = 0.0
        messages = self.chart.messages_per_update + 1
        self._publisher = Publisher(
            self._publish,
            interval=max(1 / MAX_UPDATES_PER_SECOND, messages / MAX_MESSAGES_PER_SECOND),
        )
        super().__init__(
            [self.panel, self.chart.view], layout=ipywidgets.Layout(width="100%", min_width="0")
        )

        deliver_where_addressed(self.panel.comm)
        self.panel.update(responsive=responsiveness_note())
        self.panel.observe(self._take_edit, "values")
        self.panel.observe(self._take_name, "save_as")
        self.panel.on_command(self._obey)
        self._session.subscribe(self._publisher.wake)
        self._publish()

    # What a person in the panel and code in a cell can do.

    def start(self) -> None:
        """Start training with `config` in the background.

        Raises `StateError` unless idle and every field of the panel is right, and
        `ArgumentError` for a parameter that does not fit the model.
        """
        with self._lock:
            self._begin(self._session.start)

    def step(self) -> None:
        """Make exactly one step, from idle or paused."""
        with self._lock:
            if self.state == "idle":
                self._begin(self._session.step)
            else:
                self._session.step()

    def pause(self) -> None:
        """Pause after the step in progress."""
        self._session.pause()

    def resume(self) -> None:
        """Go on, bit for bit as if there had been no pause."""
        self._session.resume()

    def stop(self) -> None:
        """End after the step in progress; the scores learnt so far are saved."""
        self._session.stop()

    def reset(self) -> None:
        """Forget run and history; what was saved under a name stays there."""
        with self._lock:
            self._session.reset()
            self._delivery.forget()
        self._publisher.wake()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the training is done, stopped or failed, also through pauses.

        Interrupting it (KeyboardInterrupt, the notebook's ■) pauses the training after the step
        in progress. In a notebook `await probe.finished()` does the same and keeps the panel
        alive on every kernel.

        Raises:
            TimeoutError: not ended after `timeout` seconds; the training goes on.
            StateError: nothing was started, or it was reset meanwhile.
            Exception: the error that ended the training.
        """
        try:
            self._session.wait(timeout)
        finally:
            self._publisher.flush()

    async def finished(self) -> None:
        """`wait` for use with `await`. Cancelling it leaves the training as it is."""
        try:
            await self._session.finished()
        finally:
            self._publisher.flush()

    @property
    def prune_scores(self) -> PruneScores:
        """A copy of the scores; while training, those after the step in progress.

        Raises `StateError` before the start.
        """
        scores: PruneScores = self._session.prune_scores
        return scores

    @property
    def history(self) -> list[StepRecord]:
        """The records of the run, oldest first."""
        return self._session.history

    @property
    def state(self) -> State:
        """One of idle, preparing, running, paused, stopping, done, stopped, failed."""
        return self._session.state

    @property
    def config(self) -> SubnetworkProbingConfig:
        """The config that the panel shows; a field with a problem has its last good value."""
        return self._form.config

    def close(self) -> None:
        """Stop the training and remove the widget from the page."""
        # Also called when the constructor refused its arguments.
        if "_session" in vars(self):
            with suppress(StateError):
                self._session.stop()
            self.panel.close()
            self.chart.close()
        super().close()

    def __repr__(self) -> str:
        snapshot = self._session.snapshot()
        steps = f"step {snapshot.step} of {snapshot.n_steps}, " if snapshot.n_steps else ""
        return (
            f"SubnetworkProbingWidget({snapshot.state}, {steps}"
            f"{self._model.n_edges} edges, save_as={self.panel.save_as!r})"
        )

    # The training.

    def _begin(self, begin: Callable[[], None]) -> None:
        problems = dict(self._form.problems)
        if self.panel.save_as_problem:
            problems["save_as"] = self.panel.save_as_problem
        if problems:
            listed = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
            raise StateError(f"cannot start: {listed}")
        self._run_config = self._form.config
        try:
            begin()
        except ArgumentError as error:
            if error.argument in self._form.values:
                self._form = self._form.with_problem(error.argument, error.reason)
                self.panel.update(problems=self._form.problems)
            raise
        self._notice = self._run_config.caution

    def _new_trainer(self) -> Trainer:
        return SubnetworkProbing(
            self._model, self._dataloader, self._run_config, self._validation_dataloader
        )

    def _deliver(self, trainer: Trainer) -> None:
        # Untrained scores would overwrite those of an earlier run.
        if trainer.step_count:
            self._delivery.deliver(trainer.prune_scores)

    # What comes from the panel, on whichever thread.

    def _obey(self, command: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "start": self.start,
            "step": self.step,
            "pause": self.pause,
            "resume": self.resume,
            "stop": self.stop,
            "reset": self.reset,
            "overwrite": self._delivery.overwrite,
            "keep": self._delivery.keep,
        }
        self.panel.update(responsive=responsiveness_note_for_message())
        self._explaining(actions[command])

    def _take_edit(self, change: Any) -> None:
        def take() -> None:
            under_way = self.state in ACTIVE
            form = self._form.edited(change["new"], under_way=under_way)
            if under_way:
                self._change_live(form.config)
            self._form = form

        with self._lock:
            self._explaining(take)
            self.panel.update(values=self._form.values, problems=self._form.problems)

    def _change_live(self, config: SubnetworkProbingConfig) -> None:
        live = {
            name: getattr(config, name)
            for name in LIVE_PARAMETERS
            if getattr(config, name) != getattr(self._form.config, name)
        }
        if live:
            self._session.change(**live)

    def _take_name(self, change: Any) -> None:
        def take() -> None:
            name = change["new"].strip()
            problem = name_problem(name)
            self.panel.update(save_as_problem=problem)
            self._delivery.rename(None if problem else name)

        with self._lock:
            self._explaining(take)

    def _explaining(self, action: Callable[[], None]) -> None:
        """Do what a person asked for; an error becomes a sentence in the panel."""
        self._notice = ""
        try:
            action()
        except (ArgumentError, StateError) as error:
            self._notice = str(error)
        except Exception as error:
            self._notice = describe(error)
        self._publisher.wake()

    # What goes to the browser, one thread at a time.

    def _publish(self) -> None:
        snapshot = self._session.snapshot()
        drawing = (snapshot.run, snapshot.state == "idle")
        anew = drawing != self._drawn
        if anew:
            self.chart.clear()
            self._drawn = drawing
        records = self._session.records(self.chart.n_steps)
        self.chart.append(records)
        if records or anew:
            self.chart.draw()
        now = time.monotonic()
        if snapshot.state != "running" or now - self._described_at > SECONDS_BETWEEN_SUMMARIES:
            self._described_at = now
            self.chart.describe()
        config = self._form.config if snapshot.state == "idle" else self._run_config
        self.panel.update(
            status=status_of(
                snapshot,
                epochs=config.epochs,
                n_steps=config.epochs * len(self._dataloader),
                n_edges=self._model.n_edges,
                message=self._notice or self._delivery.outcome,
            ),
            overwrite_prompt=self._delivery.question,
        )


def _check(
    model: object,
    dataloader: object,
    validation_dataloader: object,
    config: object,
    official_edges: object,
    save_as: object,
) -> None:
    if not isinstance(model, PatchableModel):
        raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
    if not isinstance(dataloader, PromptDataLoader):
        raise ArgumentError("dataloader", "a PromptDataLoader", type(dataloader))
    if len(dataloader) == 0:
        raise ArgumentError("dataloader", "at least one batch", "none")
    if validation_dataloader is not None and not isinstance(
        validation_dataloader, PromptDataLoader
    ):
        wanted = "a PromptDataLoader or None"
        raise ArgumentError("validation_dataloader", wanted, type(validation_dataloader))
    if config is not None and not isinstance(config, SubnetworkProbingConfig):
        raise ArgumentError("config", "a SubnetworkProbingConfig or None", type(config))
    if official_edges is not None and not (
        isinstance(official_edges, Collection)
        and all(isinstance(edge, Edge) for edge in official_edges)
    ):
        raise ArgumentError("official_edges", "a collection of edges or None", type(official_edges))
    if not isinstance(save_as, str):
        raise ArgumentError("save_as", "the name of a variable", save_as)
    problem = name_problem(save_as)
    if problem:
        raise ArgumentError("save_as", "the name of a variable of your own", save_as)

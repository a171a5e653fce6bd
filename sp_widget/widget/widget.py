"""The panel, the chart, the circuit, the session and the notebook's variable, put together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets
from IPython.display import display

from sp_widget import methods
from sp_widget.checked_files import file_path
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, StateError
from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.arguments import check_training_arguments
from sp_widget.methods.base import MethodConfig, Trainer
from sp_widget.methods.config_text import config_to_json
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.run_files import folder_of, in_file
from sp_widget.report.circuit_data import known_circuit
from sp_widget.report.history_table import history_frame
from sp_widget.report.picture import Picture, snapshot
from sp_widget.session import ACTIVE, ENDED, Session, Snapshot, State
from sp_widget.session.background_evaluation import BackgroundEvaluation
from sp_widget.session.state import check_action
from sp_widget.session.threads import Threads, check_threads
from sp_widget.widget import lifetime
from sp_widget.widget.arguments import check_save_as
from sp_widget.widget.as_code import groups_as_code, names_in_notebook
from sp_widget.widget.beginning import Beginning
from sp_widget.widget.chart import Chart
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.comm_routing import deliver_where_addressed, responsiveness_note
from sp_widget.widget.export import ExportPanel
from sp_widget.widget.faithfulness import FaithfulnessView
from sp_widget.widget.kept_picture import KeptPicture
from sp_widget.widget.live_faithfulness import measured_runs
from sp_widget.widget.live_prompts import LivePrompts
from sp_widget.widget.namespace import Delivery
from sp_widget.widget.panel import ControlPanel, MethodOption, Tab, in_order
from sp_widget.widget.panel_requests import PanelRequests
from sp_widget.widget.probe_files import (
    PANEL,
    PanelFile,
    RunEntry,
    holds_panel,
    is_page,
    read_panel,
    read_run,
    write_panel,
    write_run,
)
from sp_widget.widget.publisher import Publisher
from sp_widget.widget.runs import FinishedRun, Runs
from sp_widget.widget.screen import Screen
from sp_widget.widget.settings import Settings

if TYPE_CHECKING:
    from pandas import DataFrame

Widget = TypeVar("Widget", bound="SubnetworkProbingWidget")

MAX_UPDATES_PER_SECOND = 6
MAX_MESSAGES_PER_SECOND = 33
"""Of updates on average, so that even a second that begins with one has fewer than 40; the
circuit and the chart's summary add about one each."""


class SubnetworkProbingWidget(ipywidgets.VBox):  # type: ignore[misc]
    """Subnetwork probing from a control panel in the notebook, with a live chart and circuit.

    Display it, press Start; the training runs in the background. When it is done or stopped,
    the scores are in the notebook's variable named `save_as`, and always in `prune_scores`.

    Everything that the panel does can be done from code as well, from any thread.

    Args:
        model: what `sp_widget.patchable_model` returns.
        dataloader: the prompt pairs to train on.
        validation_dataloader: prompt pairs that are only measured: what the hard circuit does on
            them is the validation beside the loss.
        method: the method that the panel shows at first, as in `sp_widget.methods.names()`.
        config: the settings that the panel shows at first, a config of any method; by default those
            of `method` that need no tuning.
        official_edges: the edges of a known circuit, or their names, to compare with.
        save_as: the notebook's variable for the scores. One that holds anything but scores is
            overwritten only after a person agreed in the panel.
        threads: how many threads the training uses, whatever torch is set to elsewhere. `"auto"`:
            the training tries a few numbers, up to torch's own, and takes the quickest.
        folder: where everything is kept while it is made, for `load`: see docs/runs.md. Runs that
            are there already come to `runs`.

    Raises `ArgumentError` with the name of a bad argument.
    """

    def __init__(
        self,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None = None,
        *,
        method: str = "subnetwork_probing",
        config: MethodConfig | None = None,
        official_edges: Collection[Edge | str] | None = None,
        save_as: str = "prune_scores",
        threads: Threads = "auto",
        folder: str | Path | None = None,
    ) -> None:
        chosen = methods.get(method) if config is None else methods.of(config)
        check_training_arguments(model, dataloader, validation_dataloader, config, chosen.Config)
        self.official_edges = known_circuit(model, official_edges)
        check_save_as(save_as)
        check_threads(threads)
        path = None if folder is None else folder_of(folder)
        saved = read_panel(path) if path is not None and holds_panel(path) else None
        self._model = model
        self._dataloader = dataloader
        self._validation_dataloader = validation_dataloader

        config = chosen.first_config(model, dataloader) if config is None else config
        self.panel = ControlPanel(
            methods=[
                MethodOption(value=each.name, label=each.title, summary=each.summary)
                for each in map(methods.get, methods.names())
                # The truth is no choice where nobody knows it.
                if self.official_edges or each.name != "ground_truth"
            ],
            save_as=save_as,
        )
        self.chart = Chart(chosen.series_for(validation_dataloader is not None))
        self.circuit = CircuitView(
            model, self.official_edges, dataloader.seq_labels if model.seq_len is not None else None
        )
        self.faithfulness = FaithfulnessView()
        self.export = ExportPanel(self)
        # Whatever a handler changes is changed under the panel's lock: a handler runs on the
        # main thread or on a subshell's, while code in a cell may ask for the same thing.
        # The training thread never takes this lock, so a reset may wait for it there.
        self._lock = self.panel.lock
        self._beginning = Beginning(config, config.seed)
        self._runs = Runs()
        self._delivery = Delivery(
            save_as.strip(),
            under_way=lambda: self._session.state in ACTIVE,
            changed=lambda: self._publisher.wake(),
        )
        # One at a time writes `panel.json`.
        self._saving = threading.Lock()
        self._folder: Path | None = None
        self._kept_panel: PanelFile | None = None
        self._saving_problem = ""
        self._session = Session(self._new_trainer, on_end=self._deliver, threads=threads)
        self._background = BackgroundEvaluation(
            self._session,
            model,
            dataloader,
            validation_dataloader,
            changed=self._measured_more,
        )
        self._live_prompts = LivePrompts(
            self._session,
            self.panel,
            self.circuit,
            model,
            dataloader if validation_dataloader is None else validation_dataloader,
            # What answers holds the widget, whose cell may have been run again meanwhile.
            settled=lifetime.look_soon,
        )
        self.prompts = self._live_prompts.view
        self._settings = Settings(
            config,
            self.panel,
            self._session,
            model,
            dataloader,
            validation_dataloader,
            self.official_edges,
        )
        self._screen = Screen(
            self.panel,
            self.chart,
            self.circuit,
            self.faithfulness,
            self._live_prompts,
            self._session,
            self._background,
            self._runs,
            self._delivery,
            validation=validation_dataloader is not None,
            n_batches=len(dataloader),
            n_edges=model.n_edges,
            wake=lambda: self._publisher.wake(),
        )
        messages = self._screen.messages_per_update
        self._publisher = Publisher(
            self._publish,
            interval=max(1 / MAX_UPDATES_PER_SECOND, messages / MAX_MESSAGES_PER_SECOND),
        )
        self._requests = PanelRequests(
            self.panel,
            self._settings,
            self._session,
            self._runs,
            self._delivery,
            actions={
                "start": self.start,
                "step": self.step,
                "pause": self.pause,
                "resume": self.resume,
                "stop": self.stop,
                "reset": self.reset,
                "restore_best": self.restore_best,
                "code": self._show_code,
            },
            save=self.save,
            wake=self._publisher.wake,
        )
        stage = ipywidgets.Box([self.chart.view, self.circuit])
        stage.add_class("sp-stage")
        super().__init__([self.panel, stage], layout=ipywidgets.Layout(width="100%", min_width="0"))
        self.add_class("sp-cockpit")
        self.add_tab("faithfulness", "Faithfulness", self.faithfulness)
        self.add_tab("prompts", "Prompts", self.prompts)
        self.add_tab("export", "Export", self.export)

        # In the browser, so that the mark follows the slider however busy the kernel is.
        self._links = [
            ipywidgets.jslink((self.circuit, "n_edges"), (self.faithfulness, "n_edges")),
            ipywidgets.jsdlink(
                (self.circuit, "training_edges"), (self.faithfulness, "training_edges")
            ),
        ]
        self.faithfulness.on_measure(self._measure)
        deliver_where_addressed(self.panel.comm)
        self.panel.update(responsive=responsiveness_note())
        self._requests.listen()
        self._session.subscribe(self._publisher.wake)
        # What a person makes of the circuit is kept as soon as it is made.
        self.circuit.observe(lambda _: self._publisher.wake(), ["groups", "kept"])
        self._kept = KeptPicture(self._session, self.snapshot, self.panel.model_id)
        self._session.subscribe(self._kept.look)
        self._session.subscribe(self._background.look)
        self.circuit.effects.rest_while(self._why_circuits_wait)
        self.circuit.measure_on(self._prompts_to_measure_on)
        self._session.subscribe(self.circuit.effects.look)
        self._settings.show()
        self._parts = [part for root in (self, *self._links) for part in lifetime.hold_weakly(root)]
        lifetime.watch(self)
        if path is not None:
            self._take_up(path, saved, go_on=False)
        self._publish()

    @classmethod
    def load(
        cls: type[Widget],
        folder: str | Path,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None = None,
        *,
        threads: Threads = "auto",
    ) -> Widget:
        """Return the widget that `save` wrote, or that was kept in its `folder`.

        The run at hand is at its step, paused unless it had ended, and goes on bit for bit; the
        finished runs are in `runs`; the fields show what they showed. From now on everything is
        kept in this folder.

        Raises `ArgumentError` for another model or other data, naming what differs, and for files
        that are no saved widget; `StateError` while the run is under way elsewhere.
        """
        path = folder_of(folder)
        saved = read_panel(path)
        probe = cls(
            model,
            dataloader,
            validation_dataloader,
            config=saved.config(model),
            official_edges=saved.known_circuit(model),
            save_as=saved.save_as,
            threads=threads,
        )
        probe._take_up(path, saved, go_on=True)
        probe._publisher.wake()
        return probe

    def add_tab(self, name: str, label: str, content: ipywidgets.DOMWidget) -> None:
        """Show a widget of yours as one more tab below chart and circuit.

        Args:
            name: tells the tabs apart; letters, digits and hyphens.
            label: what is written on the tab.

        Raises `ArgumentError` for a name that another tab has, and for a bad argument.
        """
        for argument, text in (("name", name), ("label", label)):
            if not isinstance(text, str):
                raise ArgumentError(argument, "a text", text)
        if not isinstance(content, ipywidgets.DOMWidget):
            raise ArgumentError("content", "a widget", type(content))
        with self._lock:
            tabs: list[Any] = self.panel.tabs
            if not name.replace("-", "").isalnum() or name in [tab["name"] for tab in tabs]:
                raise ArgumentError("name", "letters, digits and hyphens that no tab has", name)
            content.add_class("sp-tab")
            content.add_class(f"sp-tab-{name}")
            self.set_trait("children", [*self.children, content])
            self.panel.update(tabs=in_order([*tabs, Tab(name=name, label=label)]))

    # What a person in the panel and code in a cell can do.

    def start(self) -> None:
        """Start training with `config` in the background.

        Raises `StateError` unless idle and every field of the panel is right, and
        `ArgumentError` for a parameter that does not fit the model.
        """
        with self._lock:
            self._begin(self._session.start)

    def step(self) -> None:
        """Make exactly one step, from idle or paused. Raises as `start` does."""
        with self._lock:
            if self.state == "idle":
                self._begin(self._session.step)
            else:
                self._session.step()

    def pause(self) -> None:
        """Pause after the step in progress. Raises `StateError` unless preparing or running."""
        self._session.pause()

    def resume(self) -> None:
        """Go on, bit for bit as if there had been no pause.

        Raises `StateError` unless paused, or about to pause.
        """
        self._session.resume()

    def stop(self) -> None:
        """End after the step in progress; the scores learnt so far are saved.

        Raises `StateError` unless a run is under way.
        """
        self._session.stop()

    def reset(self) -> None:
        """Be ready for another run; the finished one goes to `runs`.

        What was saved under a name stays there. Raises `StateError` while a step may be in
        progress; pause or stop first.
        """
        with self._lock:
            snapshot = self._session.snapshot()
            finished = None
            if snapshot.step and snapshot.state in ("paused", *ENDED):
                moment, status = self._session.moment()
                finished = self._beginning.finished_run(
                    snapshot, moment, status, self._session.folder
                )
            else:
                # It might pause before the next line, and be forgotten without being kept.
                check_action(snapshot.state, "reset")
            self._session.reset()
            self._delivery.forget()
            if finished is not None:
                self._runs.keep(finished)
            self._settings.show()
        self._keep_panel()
        self._publisher.wake()

    def save(self, folder: str | Path) -> None:
        """Write everything into a folder: all runs, what the fields show, the official edges.

        A name that ends in `.html` is a file instead: `snapshot()` as a page to explore.

        While training, the run is written as it is after the step in progress, and goes on. The
        folder may be the widget's own, a new one, or one that this widget was saved to before;
        `load` reads it, docs/runs.md describes it.

        Raises `ArgumentError` for a folder that holds something else and for `.html` alone, and
        `OSError` where it cannot be written; what was there is whole then.
        """
        if is_page(folder):
            page, _ = file_path(folder, [".html"], "folder")
            self.snapshot().save(page)
            return
        path = folder_of(folder)
        if self._folder is not None and path.resolve() == self._folder.resolve():
            if self.state != "idle":
                self._session.save()
            self._keep_panel()
            if self._saving_problem:
                raise OSError(self._saving_problem)
            return
        with self._lock:
            runs = {f"run-{run.number}": (run.moment, run.status) for run in self._runs.all}
            current = None
            if self.state != "idle":
                current = f"run-{self._runs.next_number}"
                runs[current] = self._session.moment()
            panel = self._panel_file(current)
        entries = [replace(entry, folder=f"run-{entry.number}") for entry in panel.runs]
        with self._saving:
            if holds_panel(path):
                there = read_panel(path)
                names = {each.folder for each in there.runs} | {there.current} - {None}
                if not names <= runs.keys():
                    wanted = "a folder without the runs of another widget"
                    raise ArgumentError("folder", wanted, sorted(map(str, names)))
            for name, (moment, status) in runs.items():
                write_run(path / name, moment, status)
            write_panel(path, replace(panel, runs=tuple(entries)))

    def evaluate(self) -> HardEvaluation:
        """Measure the hard circuit on all validation data, after the step in progress.

        Raises `StateError` without validation data, and before the run is prepared.
        """
        return self._session.evaluate().result()

    def restore_best(self) -> HardEvaluation:
        """Go back to the masks of the best evaluation, while paused or after the end.

        The best has the lowest `faithfulness + lambda * regularizer` on the validation data.
        After the end its scores are saved under the name again. Raises `StateError` when the
        state does not allow it or nothing was evaluated.
        """
        evaluation = self._session.restore_best().result()
        if self.state in ENDED:
            self._delivery.deliver(self.prune_scores)
        self._requests.tell(f"The masks are those of step {evaluation.step:,} again.")
        return evaluation

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the training is done, stopped or failed, also through pauses.

        Interrupting it (KeyboardInterrupt, the notebook's ■) pauses the training after the step
        in progress. In a notebook `await probe.finished()` does the same; from ipykernel 7.4 on
        the panel's buttons act meanwhile in every front end.

        Raises:
            TimeoutError: not ended after `timeout` seconds; the training goes on.
            StateError: nothing was started, or it was reset meanwhile.
            Exception: the error that ended the training.
        """
        try:
            self._session.wait(timeout)
        finally:
            self._publisher.flush()
        self._kept.finish()

    async def finished(self) -> None:
        """`wait` for use with `await`. Cancelling it leaves the training as it is."""
        try:
            await self._session.finished()
        finally:
            self._publisher.flush()
        await asyncio.to_thread(self._kept.finish)

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

    def history_frame(self) -> DataFrame:
        """The history as a pandas table: a row for each step, a column for each field."""
        return history_frame(self.history)

    def snapshot(self, n_edges: int | None = None, *, title: str | None = None) -> Picture:
        """Return a picture of chart, circuit and metrics, which needs no kernel.

        `n_edges`: the size of the circuit; by default that of the one in view, whose switches by
        hand are then in it too. `title`: by default that of the method. It has the curves that
        the faithfulness view shows, as far as they are measured. Saved as a page it has single
        prompts, unless it was made while training. Raises `StateError` before the start.
        """
        # Not those of the last record: the best masks may have been restored since.
        scores, hard_edge_count, patch_type, ablation_type = self._session.post(
            lambda trainer: (
                trainer.prune_scores,
                trainer.hard_edge_count,
                trainer.patch_type,
                trainer.config.ablation_type,
            )
        ).result()
        history = self.history
        switches: list[str] = []
        if n_edges is None:
            n_edges, switches = self.circuit.n_edges, self.circuit.switches
        if n_edges is None and history:
            n_edges = hard_edge_count
        return snapshot(
            self._model,
            scores,
            history=history,
            evaluations=self.evaluations,
            config=self._beginning.config,
            official_edges=self.official_edges,
            seq_labels=None if self._model.seq_len is None else self._dataloader.seq_labels,
            n_edges=n_edges,
            title=methods.of(self._beginning.config).title if title is None else title,
            faithfulness=measured_runs(self._session.snapshot(), self._background, self._runs),
            code=self.as_code(),
            groups=self.circuit.node_groups,
            switches=switches,
            # A training is not slowed down by prompts.
            prompts=None if self._why_circuits_wait() else self._prompts_to_measure_on,
            patch_type=patch_type,
            ablation_type=ablation_type,
        )

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        shown: dict[str, Any] = super()._repr_mimebundle_(**options)
        # Seen where the widget is not, such as after a reload of a notebook that is not trusted.
        shown["text/plain"] = (
            f"{self!r}\n"
            "To see the panel: trust the notebook and reload the page, or run this cell again."
        )
        return shown

    def _ipython_display_(self) -> None:
        lifetime.keep_while_shown(self)
        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]
        self._kept.show()

    @property
    def evaluations(self) -> list[HardEvaluation]:
        """The hard circuit on all validation data, oldest first."""
        return list(self._session.snapshot().evaluations)

    @property
    def evaluation(self) -> Evaluation | None:
        """What circuits of all sizes do, cut from the present scores; `None`: not measured yet.

        Measured in the background when a run ends, on the first 32 validation prompts, with the
        ablation and in the direction of the run; this waits for what is under way. `sp.evaluate`
        measures more.
        """
        self._background.wait()
        measured = self._background.measured.get(self._session.snapshot().masks)
        return None if measured is None else measured.evaluation

    @property
    def runs(self) -> list[FinishedRun]:
        """The runs before the last reset, oldest first, with their scores."""
        return list(self._runs.all)

    def as_code(self) -> str:
        """Python that repeats the run exactly, what was changed on the way included.

        Before the start: that makes the run which would start now.
        """
        return self._code(self._session.snapshot())

    @property
    def state(self) -> State:
        """One of idle, preparing, running, paused, stopping, done, stopped, failed."""
        return self._session.state

    @property
    def config(self) -> MethodConfig:
        """The config that the panel shows; a field with a problem has its last good value."""
        return self._settings.config

    def close(self) -> None:
        """Stop the training and remove the widget from the page, and from memory with all its parts
        as soon as nothing refers to it. In a folder the run is paused.
        """
        # Also called when the constructor refused its arguments.
        if "_session" in vars(self):
            with suppress(StateError):
                self._session.stop(for_now=True)
            lifetime.forget(self)
        self._close_parts()
        if "_background" in vars(self):
            self._background.close()
        if "_live_prompts" in vars(self):
            self._live_prompts.close()

    def __del__(self) -> None:
        # Not the session: it ends by itself, and may belong to a thread that waits for a lock.
        self._close_parts()

    def _close_parts(self) -> None:
        if "_parts" in vars(self):
            self._publisher.close()
            self.chart.close()
            for part in self._parts:
                if part is not self:
                    part.close()
        super().close()

    def __repr__(self) -> str:
        snapshot = self._session.snapshot()
        steps = f"step {snapshot.step} of {snapshot.n_steps}, " if snapshot.n_steps else ""
        return (
            f"SubnetworkProbingWidget({snapshot.state}, {steps}"
            f"{self._model.n_edges} edges, save_as={self.panel.save_as!r})"
        )

    @property
    def _prompts_to_measure_on(self) -> PromptDataLoader:
        validation = self._validation_dataloader
        return self._dataloader if validation is None else validation

    def _why_circuits_wait(self) -> str:
        under_way = self.state in ACTIVE and self.state != "paused"
        return "Measured when the training pauses or ends." if under_way else ""

    def _measure_as(self, trainer: Trainer[Any]) -> None:
        """Measure circuits as the trainer runs them."""
        self.circuit.measure_on(
            self._prompts_to_measure_on,
            trainer.config.ablation_type,
            trainer.patch_type,
        )

    def _measure(self) -> None:
        # Pressed in the moment in which a run began: its end measures it.
        with suppress(StateError):
            self._background.measure()

    # The training.

    def _begin(self, begin: Callable[[], None]) -> None:
        problems = dict(self._settings.problems)
        if self.panel.save_as_problem:
            problems["save_as"] = self.panel.save_as_problem
        if problems:
            listed = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
            raise StateError(f"cannot start: {listed}")
        try:
            begin()
        except ArgumentError as error:
            self._settings.explain(error)
            raise
        self._keep_panel()
        self._requests.tell(self._beginning.config.caution)

    def _new_trainer(self) -> Trainer[Any]:
        config = self.config
        trainer = methods.of(config).trainer(
            self._model, self._dataloader, config, self._validation_dataloader
        )
        # Not before: a start that is refused leaves the run at hand what it is.
        self._beginning = Beginning(config, trainer.seed)
        self._delivery.begin()
        self._measure_as(trainer)
        return trainer

    # The folder.

    def _take_up(self, folder: Path, saved: PanelFile | None, *, go_on: bool) -> None:
        """Have the runs of a folder, and keep those to come there.

        `go_on`: the run at hand goes on; otherwise it is one of the finished.
        """
        data = (self._model, self._dataloader, self._validation_dataloader)
        try:
            if saved is not None:
                with in_file(PANEL):
                    self.circuit.node_groups = list(saved.groups)
                    for each, edges in saved.circuits.items():
                        self.circuit.keep(each, edges)
            for entry in () if saved is None else saved.runs:
                run = read_run(folder / entry.folder, *data)
                if run is not None:
                    self._runs.restore(run.finished(entry.number, entry.name, entry.shown))
            name = None if saved is None else saved.current
            current = None if name is None else read_run(folder / name, *data)
            if current is not None and go_on:
                trainer = current.trainer
                self._beginning = Beginning(trainer.config_at_start, trainer.seed)
                self._measure_as(trainer)
                self._session.go_on(trainer, current.notes, current.status, current.folder)
                self._delivery.begin()
                if self.state in ENDED:
                    self._deliver(trainer)
            elif current is not None and current.trainer.step_count:
                self._runs.keep(current.finished(0, "", shown=True))
        except BaseException:
            self.close()
            raise
        self._folder = folder
        self._session.keep_in(folder)
        self._keep_panel()

    def _keep_panel(self) -> None:
        """Write `panel.json` into the widget's folder, if there is something new to write."""
        if self._folder is None:
            return
        with self._saving:
            run = self._session.folder
            panel = self._panel_file(None if run is None else run.name)
            if panel == self._kept_panel and not self._saving_problem:
                return
            try:
                write_panel(self._folder, panel)
                self._kept_panel, self._saving_problem = panel, ""
            except OSError as error:
                reason = error.strerror or str(error)
                self._saving_problem = f"The panel could not be saved in its folder: {reason}."

    def _panel_file(self, current: str | None) -> PanelFile:
        config, official = self.config, self.official_edges
        return PanelFile(
            method=methods.of(config).name,
            parameters=config_to_json(config),
            save_as=self.panel.save_as,
            groups=tuple(self.circuit.node_groups),
            circuits={
                name: sorted(map(str, circuit))
                for name, circuit in self.circuit.circuits.items()
                if isinstance(circuit, list)
            },
            official_edges=None if official is None else sorted(map(str, official)),
            runs=tuple(
                RunEntry(
                    folder="" if run.folder is None else run.folder.name,
                    number=run.number,
                    name=run.name,
                    shown=run.shown,
                )
                for run in self._runs.all
            ),
            current=current,
        )

    def _code(self, snapshot: Snapshot) -> str:
        begun = snapshot.state != "idle"
        run = self._beginning if begun else Beginning(self.config, self.config.seed)
        names = names_in_notebook(
            self._model,
            self._dataloader,
            self._validation_dataloader,
            scores="prune_scores" if self.panel.save_as_problem else self.panel.save_as.strip(),
        )
        return run.as_code(snapshot, names) + groups_as_code(self.circuit.node_groups, names)

    def _show_code(self) -> None:
        self.panel.show_code(self.as_code())

    def _deliver(self, trainer: Trainer[Any]) -> None:
        # Untrained scores would overwrite those of an earlier run.
        if trainer.step_count:
            self._delivery.deliver(trainer.prune_scores)
        # Its cell may have been run again meanwhile.
        lifetime.look_soon()

    def _measured_more(self) -> None:
        self._publisher.wake()
        # What measures holds the widget, whose cell may have been run again meanwhile.
        lifetime.look_soon()

    # What goes to the browser, one thread at a time.

    def _publish(self) -> float | None:
        self._keep_panel()
        snapshot = self._session.snapshot()
        return self._screen.show(
            snapshot,
            config=self.config if snapshot.state == "idle" else self._beginning.config,
            n_steps=self._settings.n_steps,
            notice=self._requests.notice or self._saving_problem,
        )

"""A training in the background that a person can steer: start, pause, resume, step, stop, reset."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sp_widget.errors import StateError
from sp_widget.methods.base import Trainer
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.run_files import Moment, folder_of, moment_of
from sp_widget.runs.folder import new_run_folder
from sp_widget.runs.keeper import RunKeeper
from sp_widget.runs.status import RunState, RunStatus, status_now
from sp_widget.session.notes import read_notes
from sp_widget.session.run import Run
from sp_widget.session.state import Action, Intervention, Snapshot, State, check_action
from sp_widget.session.threads import Threads, check_threads

T = TypeVar("T")


class Session:
    """Runs a trainer on one background thread. No widgets, and it prints nothing.

    Every method may be called from any thread. None of them waits for a step, except `wait`,
    `finished` and `prune_scores`.

    Args:
        trainer_factory: makes the trainer of each run; called by `start` (or the `step` that
            starts a run) in the caller's thread, so that a bad argument is raised there.
        on_end: called with the trainer on the training thread when a run is done or stopped,
            before `wait` returns. If it raises, the run has failed.
        threads: how many threads the operations of a run use, whatever torch is set to elsewhere.
            `"auto"`: each run tries a few numbers, up to torch's own, with steps that it undoes,
            and takes the quickest; it tries again when steps become much slower.
        folder: where to keep the runs while they are made, each in a folder of its own (`run-1`,
            `run-2`, …): docs/runs.md says when.

    Raises `ArgumentError` for another `threads`.
    """

    def __init__(
        self,
        trainer_factory: Callable[[], Trainer[Any]],
        *,
        on_end: Callable[[Trainer[Any]], None] | None = None,
        threads: Threads = "auto",
        folder: str | Path | None = None,
    ) -> None:
        check_threads(threads)
        self._folder = None if folder is None else folder_of(folder)
        self._trainer_factory = trainer_factory
        self._on_end = on_end or (lambda trainer: None)
        self._threads = threads
        self._listeners: tuple[Callable[[], None], ...] = ()
        # Guards the replacement of the run; a run guards itself.
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._runs = 0

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change, from whichever thread made it, with no lock held.

        It must return at once: set an event, and read `snapshot()` elsewhere.
        """
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def start(self) -> None:
        """Begin a run. Raises `StateError` unless idle, and whatever the factory raises."""
        self._begin("start", math.inf)

    def pause(self) -> None:
        """Pause after the step (or the prepared batch) in progress."""
        self._current("pause").pause()

    def resume(self) -> None:
        """Go on from a pause, bit for bit as if there had been none."""
        self._current("resume").resume()

    def step(self) -> None:
        """Make exactly one step, from idle (after the preparation) or paused, and pause."""
        self._begin("step", 1)

    def stop(self, *, for_now: bool = False) -> None:
        """End after the step in progress; what was learnt is kept.

        `for_now`: this session is over, but in its folder the run is paused, and can go on.
        """
        self._current("stop").stop(for_now=for_now)

    def reset(self) -> None:
        """Forget the run, its history and its scores: the next start makes a new trainer.

        Raises `StateError` while a step may be in progress (preparing, running, stopping).
        """
        with self._lock:
            check_action(self.state, "reset")
            if self._run is not None:
                self._run.abandon()
            self._run = None
        self.run_changed()

    def change(self, **values: float) -> None:
        """Change live settings of the run's method from the next step on.

        Raises `ArgumentError` for another name or a bad value, `StateError` if nothing runs.
        """
        self._current("change a parameter").change(**values)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the run is done, stopped or failed, also through pauses.

        An interrupt (KeyboardInterrupt, the notebook's ■) stops the waiting, pauses the run
        after the step in progress and is raised again: `resume` goes on.

        Raises:
            TimeoutError: the run has not ended after `timeout` seconds; it goes on.
            StateError: nothing was started, or the run was reset meanwhile.
            Exception: the error that ended the run.
        """
        self._current("wait").wait(timeout)

    async def finished(self) -> None:
        """`wait` for use with `await`. Cancelling it leaves the run as it is."""
        await self._current("wait").finished()

    def post(self, question: Callable[[Trainer[Any]], T]) -> Future[T]:
        """Ask the trainer between two steps, without waiting for the answer.

        Raises `StateError` before a run was started.
        """
        return self._current("ask").post(question)

    def evaluate(self) -> Future[HardEvaluation]:
        """Measure the hard circuit on all validation data, between two steps.

        Returns at once while the run is active; the future may hold a `StateError`.
        """
        return self._current("evaluate").evaluate()

    def restore_best(self) -> Future[HardEvaluation]:
        """Go back to the masks of the best evaluation, while paused or after the end.

        The future may hold a `StateError`: when nothing was evaluated.
        """
        return self._current("restore the best masks").restore_best()

    def go_on(
        self,
        trainer: Trainer[Any],
        notes: Mapping[str, Any],
        status: RunStatus,
        folder: Path | None = None,
    ) -> None:
        """Have a run that was read from a folder: at its end, or paused at its step.

        `folder`: where it is kept from now on. Raises `StateError` unless idle, and while another
        session is at the run; `ArgumentError` for notes that no session wrote.
        """
        interventions, threads = read_notes(notes, trainer)
        with self._lock:
            if self._run is not None:
                raise StateError(f"cannot go on: the run is {self._run.state}; reset it first")
            keeper = None if folder is None else RunKeeper(folder)
            run = self._new_run(trainer, keeper, interventions, threads)
            if trainer.done or status.state in ("stopped", "failed"):
                failed = status.state == "failed"
                state: State = "failed" if failed else "done" if trainer.done else "stopped"
                run.settle(state, StateError(status.error) if failed else None)
            else:
                run.start(0)
            self._run = run
        self.run_changed()

    def moment(self) -> tuple[Moment, RunStatus]:
        """Return the run between two steps, as it is written into a folder.

        Raises `StateError` before a run was started.
        """
        run = self._current("save")

        def look(trainer: Trainer[Any]) -> tuple[Moment, RunStatus]:
            snapshot = run.snapshot()
            status = status_now(
                _at_rest(snapshot.state), trainer.step_count, trainer.n_steps, snapshot.error
            )
            return moment_of(trainer, run.notes()), status

        return run.ask(look)

    def save(self) -> None:
        """Write the run into its folder, after the step in progress.

        Raises `StateError` before a run was started, and `OSError` where it cannot be written.
        """
        run = self._current("save")
        run.save().result()
        if run.snapshot().saving_problem:
            raise OSError(run.snapshot().saving_problem)

    def keep_in(self, folder: Path) -> None:
        """Keep the runs that begin from now on in a folder."""
        self._folder = folder

    @property
    def folder(self) -> Path | None:
        """The folder of the run at hand; `None`: it is kept nowhere."""
        run = self._run
        return None if run is None else run.folder

    @property
    def state(self) -> State:
        run = self._run
        return "idle" if run is None else run.state

    @property
    def error(self) -> BaseException | None:
        """What ended the run in state `failed`."""
        return self.snapshot().error

    @property
    def history(self) -> list[StepRecord]:
        """A copy of the records of the run, oldest first."""
        return self.records(0)

    def records(self, start: int) -> list[StepRecord]:
        """The records from index `start` on."""
        run = self._run
        return [] if run is None else run.records(start)

    @property
    def prune_scores(self) -> Any:
        """The scores between two steps: while a step is in progress this waits for its end.

        Raises `StateError` before a run was started.
        """
        return self._current("read scores").ask(lambda trainer: trainer.prune_scores)

    def snapshot(self) -> Snapshot:
        """The session at this moment."""
        run = self._run
        if run is None:
            return Snapshot(
                state="idle",
                run=self._runs,
                step=0,
                n_steps=0,
                record=None,
                preparation=None,
                seconds_left=None,
                error=None,
            )
        return run.snapshot()

    def _begin(self, action: Action, steps: float) -> None:
        with self._lock:
            check_action(self.state, action)
            if self._run is not None:
                # A step from a pause.
                self._run.step()
                return
            trainer = self._trainer_factory()
            keeper = None if self._folder is None else RunKeeper(new_run_folder(self._folder))
            self._run = self._new_run(trainer, keeper)
            self._run.start(steps)
        self.run_changed()

    def _new_run(
        self,
        trainer: Trainer[Any],
        keeper: RunKeeper | None,
        interventions: Sequence[Intervention] = (),
        threads: int | None = None,
    ) -> Run:
        if keeper is not None:
            keeper.take()
        self._runs += 1
        return Run(
            trainer,
            self._runs,
            threads=self._threads,
            keeper=keeper,
            interventions=interventions,
            threads_before=threads,
            owner=self,
        )

    def _current(self, action: str) -> Run:
        run = self._run
        if run is None:
            raise StateError(f"cannot {action}: nothing was started")
        return run

    def run_changed(self) -> None:
        """Tell the listeners (called by the run)."""
        for listener in self._listeners:
            listener()

    def run_ends(self, trainer: Trainer[Any]) -> None:
        """Pass on what was learnt (called by the run)."""
        self._on_end(trainer)


def _at_rest(state: State) -> RunState:
    """Return how a run is once it is read again."""
    match state:
        case "done" | "stopped" | "failed":
            return state
        case _:
            return "paused"

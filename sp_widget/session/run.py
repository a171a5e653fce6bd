"""One trainer's life on a background thread, from preparation to its end.

The training thread is the only one that touches the trainer while the run is active. Everybody
else leaves a wish (an allowance of steps, a stop, a change of a live parameter, a question)
under a lock that is only ever held for a few instructions, and the training thread looks at the
wishes between two steps, or between two batches while it prepares.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from sp_widget.errors import StateError
from sp_widget.methods.base import Trainer
from sp_widget.methods.record import HardEvaluation, StepRecord, validation_problem
from sp_widget.runs.keeper import RunKeeper
from sp_widget.runs.status import RunState
from sp_widget.session.estimate import RECENT_STEPS, estimate_seconds_left
from sp_widget.session.interruptible import wait_until_done
from sp_widget.session.notes import notes_of
from sp_widget.session.state import (
    ACTIVE,
    ENDED,
    Action,
    Cause,
    Intervention,
    Snapshot,
    State,
    check_action,
    check_next,
)
from sp_widget.session.threads import (
    Pace,
    Threads,
    Trial,
    candidates,
    spinning_note,
    threads_of_process,
    use_threads,
)

T = TypeVar("T")

THREAD_NAME = "sp-widget-training"

SECONDS_TO_END_AT_EXIT = 10.0

SECONDS_BETWEEN_LOOKS = 0.5
"""After so long a paused run looks whether anybody can still resume it."""


class Owner(Protocol):
    """What a run reports to."""

    def run_changed(self) -> None:
        """Take note of another snapshot.

        Called with no lock held, after every change, from any thread; it must be quick.
        """

    def run_ends(self, trainer: Trainer[Any]) -> None:
        """Take what was learnt.

        Called once on the training thread when the training is done or was stopped, before any
        waiter learns of it. If it raises, the run has failed.
        """


class Run:
    """A background run of one trainer.

    A run that goes on keeps its owner alive, and with it whatever shows the run. While it is paused
    it does not: if nothing else refers to the owner, nobody can resume the run, and it ends
    without a result. An action that the state does not allow raises `StateError`.

    `keeper` writes the run into a folder. A trainer that was read from one goes on with what was
    done to it, the `interventions`, and with a number of threads of its own.
    """

    def __init__(
        self,
        trainer: Trainer[Any],
        number: int,
        *,
        threads: Threads,
        owner: Owner,
        keeper: RunKeeper | None = None,
        interventions: Sequence[Intervention] = (),
        threads_before: int | None = None,
    ) -> None:
        self._trainer = trainer
        self._number = number
        self._n_steps = trainer.n_steps
        # The last bits of a result depend on the number.
        self._threads_wanted: Threads = threads if threads_before is None else threads_before
        self._keeper = keeper
        self._owner = weakref.ref(owner, self._end_unowned)
        self._kept_alive: Owner | None = owner
        """The owner, while the run goes on."""
        self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
        self._ended: Future[None] = Future()

        # All below is read and written under this lock.
        self._wishes = threading.Condition(threading.Lock())
        self._state: State = "preparing"
        self._allowance: float = 0
        self._stop = False
        self._abandoned = False
        self._can_go_on = False
        """Whether its folder says that it is paused, and not over."""
        self._changes: dict[str, float] = {}
        self._questions: list[Callable[[], None]] = []
        self._history: list[StepRecord] = list(trainer.history)
        self._step = trainer.step_count
        self._preparation: tuple[int, int] | None = None
        self._step_seconds: deque[float] = deque(maxlen=RECENT_STEPS)
        self._error: BaseException | None = None
        self._evaluations: tuple[HardEvaluation, ...] = tuple(trainer.evaluations)
        self._best: HardEvaluation | None = trainer.best
        self._interventions = tuple(interventions)
        told = (validation_problem(record, ()) for record in self._history)
        self._validation_problem = next(filter(None, told), "")
        self._saving_problem = ""
        self._threads = threads_before
        self._threads_note = ""

        # The training thread's own; after the end, of whoever asks.
        self._unsaved = True
        self._torch_threads = 1
        """What torch would use if nobody chose."""
        self._numbers_to_try: tuple[int, ...] = ()
        self._pace: Pace | None = None

        # Held by whoever asks after the end, when no thread owns the trainer any more. Not the
        # lock above: an answer may take long, and snapshots do not wait for it. Reentrant: a
        # listener that is told of an answer may itself ask.
        self._afterwards = threading.RLock()

    # What anybody may ask for.

    def start(self, steps: float = math.inf) -> None:
        """Start the thread, which pauses after `steps` steps."""
        self._allowance = steps
        # A daemon thread inside torch while the interpreter is torn down can crash the process.
        atexit.register(self._end_at_exit)
        self._thread.start()

    def settle(self, state: State, error: BaseException | None) -> None:
        """Be at an end without a thread: that of a run which ended in another process."""
        self._unsaved = False
        self._end(state, error)

    def pause(self) -> None:
        """Pause after the step, or the prepared batch, in progress."""
        with self._wishes:
            self._require("pause")
            # A single step that was not taken up yet pauses by itself.
            if self._state != "paused" or self._allowance == math.inf:
                self._allowance = 0

    def resume(self) -> None:
        """Go on to the end. Also takes back a pause that has not taken effect yet."""
        with self._wishes:
            self._require("resume")
            self._go_on(math.inf)

    def step(self) -> None:
        """Make exactly one step and pause again."""
        with self._wishes:
            self._require("step")
            # Two quick calls are two steps: the first may not have been taken up yet.
            self._go_on(self._allowance + 1)

    def stop(self, *, for_now: bool = False) -> None:
        """End after the step in progress and keep what was learnt.

        `for_now`: in its folder the run is paused.
        """
        with self._wishes:
            self._require("stop")
            self._can_go_on = for_now
            self._stop = True
            self._enter("stopping", "stop")
            self._keep_owner()
            self._wishes.notify_all()
        self._tell()

    def abandon(self) -> None:
        """End without a result; waiters get a `StateError`. Not while a step may be in progress."""
        with self._wishes:
            self._require("reset")
            self._give_up()

    def change(self, **values: float) -> None:
        """Change live settings of the trainer before its next step."""
        self._trainer.check_change(**values)
        with self._wishes:
            self._require("change")
            self._changes |= values
            self._wishes.notify_all()

    def ask(self, question: Callable[[Trainer[Any]], T]) -> T:
        """The answer to `question` about the trainer, asked between two steps.

        While the run is active this waits for the step in progress.
        """
        if threading.current_thread() is self._thread:
            return question(self._trainer)
        return self.post(question).result()

    def post(self, question: Callable[[Trainer[Any]], T]) -> Future[T]:
        """Like `ask`, without waiting for the answer. After the end it is there at once."""
        answer: Future[T] = Future()

        def reply() -> None:
            try:
                answer.set_result(question(self._trainer))
            except BaseException as error:
                answer.set_exception(error)

        with self._wishes:
            if self._state in ACTIVE:
                self._questions.append(reply)
                self._wishes.notify_all()
                return answer
        with self._afterwards:
            reply()
        return answer

    def evaluate(self) -> Future[HardEvaluation]:
        """Measure the hard circuit on all validation data, between two steps.

        The answer is a `StateError` while preparing, and without validation data.
        """

        def evaluate(trainer: Trainer[Any]) -> HardEvaluation:
            if not trainer.prepared and self._thread.is_alive():
                raise StateError("cannot evaluate: the training is not prepared yet")
            evaluation = trainer.evaluate()
            self._take_stock(Intervention(trainer.step_count, "evaluate"))
            return evaluation

        return self.post(evaluate)

    def restore_best(self) -> Future[HardEvaluation]:
        """Go back to the masks of the best evaluation, while paused or after the end."""
        with self._wishes:
            self._require("restore_best")

        def restore(trainer: Trainer[Any]) -> HardEvaluation:
            evaluation = trainer.restore_best()
            self._take_stock(Intervention(trainer.step_count, "restore_best"))
            return evaluation

        return self.post(restore)

    def wait(self, timeout: float | None) -> None:
        """Wait for the end; see `Session.wait`."""
        if threading.current_thread() is self._thread:
            raise StateError("the training thread cannot wait for itself")
        try:
            ended = wait_until_done(self._ended, timeout)
        except KeyboardInterrupt:
            # Not running: there is nothing to pause.
            with contextlib.suppress(StateError):
                self.pause()
            raise
        if not ended:
            raise TimeoutError(f"the run is {self.state} after {timeout} s")
        self._raise_outcome()

    async def finished(self) -> None:
        """Await the end; see `Session.finished`."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def wake(_: Future[None]) -> None:
            # A closed loop: nobody awaits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

        self._ended.add_done_callback(wake)
        await ended.wait()
        self._raise_outcome()

    def save(self) -> Future[None]:
        """Write the run into its folder, between two steps. `saving_problem` of the snapshot says
        what went wrong.
        """
        return self.post(lambda trainer: self._save(self.state))

    def notes(self) -> dict[str, Any]:
        """What belongs into a checkpoint beside the trainer."""
        with self._wishes:
            return notes_of(self._interventions, self._threads)

    @property
    def folder(self) -> Path | None:
        """Where the run is kept while it is made."""
        return None if self._keeper is None else self._keeper.folder

    @property
    def state(self) -> State:
        with self._wishes:
            return self._state

    def records(self, start: int) -> list[StepRecord]:
        """The history from index `start` on."""
        with self._wishes:
            return self._history[start:]

    def snapshot(self) -> Snapshot:
        with self._wishes:
            steps_left = self._n_steps - self._step if self._state in ACTIVE else 0
            return Snapshot(
                state=self._state,
                run=self._number,
                step=self._step,
                n_steps=self._n_steps,
                record=self._history[-1] if self._history else None,
                preparation=self._preparation,
                seconds_left=estimate_seconds_left(self._step_seconds, steps_left),
                error=self._error,
                evaluations=self._evaluations,
                best=self._best,
                interventions=self._interventions,
                validation_problem=self._validation_problem,
                saving_problem=self._saving_problem,
                threads=self._threads,
                threads_note=self._threads_note,
            )

    def _require(self, action: Action) -> None:
        """Raise `StateError` unless the state allows `action`. Called under the lock."""
        going_on = math.inf if self._state in ("preparing", "running") else 0
        check_action(self._state, action, wish=self._allowance != going_on)

    def _enter(self, state: State, cause: Cause) -> None:
        """Change the state. Called under the lock."""
        check_next(self._state, cause, state)
        self._state = state

    def _go_on(self, allowance: float) -> None:
        """Let the training make so many steps. Called under the lock."""
        self._allowance = allowance
        self._keep_owner()
        self._wishes.notify_all()

    def _raise_outcome(self) -> None:
        if self._abandoned:
            raise StateError("the run was reset before it ended")
        if self._error is not None:
            raise self._error

    def _give_up(self) -> None:
        self._stop = self._abandoned = True
        self._wishes.notify_all()

    def _keep_owner(self) -> None:
        """Called under the lock, by a thread that holds the owner."""
        self._kept_alive = self._owner()

    def _release_owner(self) -> None:
        """Let the owner go, if nothing but the run refers to it. Called with no lock held."""
        with self._wishes:
            # Not the last reference: what an owner does at its end may ask the run.
            owner, self._kept_alive = self._kept_alive, None
        del owner

    def _end_unowned(self, _: object) -> None:
        # No lock: a thread that holds it may collect the garbage. The training thread looks.
        # In its folder the run is paused, as nobody stopped it.
        self._can_go_on = True
        self._stop = self._abandoned = True

    def _tell(self) -> None:
        owner = self._owner()
        if owner is not None:
            owner.run_changed()

    def _end_at_exit(self) -> None:
        with self._wishes:
            self._can_go_on = True
            self._give_up()
        self._thread.join(SECONDS_TO_END_AT_EXIT)

    # The training thread.

    def _work(self) -> None:
        error: BaseException | None = None
        state: State = "stopped"
        try:
            self._save_soon("preparing")
            if self._choose_threads() and self._prepare():
                self._train()
            if self._trainer.done:
                state = "done"
            # Nobody takes the result of a run that was abandoned, also because its owner is gone.
            owner = self._owner()
            if owner is not None and not self._abandoned:
                owner.run_ends(self._trainer)
        except BaseException as raised:
            # Whatever it is, somebody waits for it: it is raised again by wait().
            error, state = raised, "failed"
        # How it ended, if nothing else.
        self._unsaved = True
        self._end(state, error)

    def _choose_threads(self) -> bool:
        """Choose how many threads to use. False when the run was stopped meanwhile."""
        self._torch_threads = threads_of_process()
        if self._threads_wanted != "auto":
            self._use_threads(self._threads_wanted)
            return True
        on_cpu = self._trainer.model.device.type == "cpu"
        # Without OpenMP all threads of a process have one number.
        if on_cpu and torch.backends.openmp.is_available() and not self._trainer.done:
            self._numbers_to_try = candidates(self._torch_threads)
        if len(self._numbers_to_try) > 1:
            return self._try_threads("preparing")
        self._use_threads(self._torch_threads)
        return True

    def _try_threads(self, active: State) -> bool:
        """Find how many threads make a step quickest. False when the run was stopped meanwhile.

        The steps are undone: what a run learns depends on the number of threads in the last bits,
        so the number stays the same from here on, and is kept with what was done to the run.
        """
        trial = Trial(self._numbers_to_try)
        with contextlib.closing(self._trainer.rehearsal()) as steps:
            use_threads(min(self._numbers_to_try))
            # Makes the buffers.
            next(steps)
            while (number := trial.next()) is not None:
                if not self._may_go_on(active):
                    return False
                use_threads(number)
                trial.take(number, next(steps))
        self._pace = Pace(trial.seconds)
        self._use_threads(trial.best, spinning_note(trial, os.environ))
        return True

    def _use_threads(self, number: int, note: str = "") -> None:
        if number != torch.get_num_threads():
            use_threads(number)
        before = self._torch_threads if self._threads is None else self._threads
        with self._wishes:
            self._threads, self._threads_note = number, note
            if number != before:
                self._interventions += (Intervention(self._step, "threads", number),)
        self._tell()

    def _prepare(self) -> bool:
        """Compute what the steps need. False when the run was stopped meanwhile."""
        if self._trainer.prepared:
            return self._may_go_on("preparing")
        for done, total in self._trainer.preparation():
            with self._wishes:
                self._preparation = (done, total)
            self._tell()
            if not self._may_go_on("preparing"):
                return False
        return True

    def _train(self) -> None:
        while not self._trainer.done and self._may_go_on("running"):
            began = time.perf_counter()
            record = self._trainer.step()
            seconds = time.perf_counter() - began
            with self._wishes:
                self._allowance = max(self._allowance - 1, 0)
                self._history.append(record)
                self._step = record.step
                self._preparation = None
                self._step_seconds.append(seconds)
            self._unsaved = True
            self._take_stock()
            self._save_soon("running")
            much_slower = self._pace is not None and self._pace.take(seconds)
            if much_slower and not self._trainer.done and not self._try_threads("running"):
                return

    def _take_stock(self, *done: Intervention) -> None:
        """Keep what others may read of the trainer, whose owner calls this."""
        evaluations, best = self._trainer.evaluations, self._trainer.best
        with self._wishes:
            if done or len(evaluations) != len(self._evaluations):
                self._evaluations = tuple(evaluations)
            self._best = best
            self._interventions += done
            ended = self._state in ENDED
            if self._history and not self._validation_problem:
                self._validation_problem = validation_problem(self._history[-1], evaluations)
        self._unsaved = self._unsaved or bool(done)
        self._tell()
        if ended and self._unsaved:
            self._save(self.state)

    def _may_go_on(self, active: State) -> bool:
        """Take up the wishes; while paused, wait for a new one. False: end the run.

        Sets the state to `active` before it returns True.
        """
        while True:
            with self._wishes:
                questions, self._questions = self._questions, []
                changes, self._changes = self._changes, {}
                stop = self._stop
                state: State = active if self._allowance > 0 else "paused"
                new_state = not stop and self._state != state
                idle = not (stop or new_state or questions or changes or state == active)
                if new_state:
                    self._enter(state, "training")
                elif idle and self._kept_alive is None:
                    # Not for ever: an owner that is gone notifies nobody.
                    self._wishes.wait(SECONDS_BETWEEN_LOOKS)
                    continue
            if idle:
                self._release_owner()
                continue
            for name, value in changes.items():
                self._trainer.change(**{name: value})
                self._take_stock(Intervention(self._trainer.step_count, name, value))
            _answer(questions)
            if new_state:
                self._tell()
            if state == "paused" and not stop and self._unsaved:
                self._save("paused")
            if stop:
                return False
            if state == active:
                return True

    def _end(self, state: State, error: BaseException | None) -> None:
        # Whoever asks after the end waits until the run is saved.
        with self._afterwards:
            while True:
                with self._wishes:
                    questions, self._questions = self._questions, []
                    if not questions:
                        self._enter(state, "training")
                        self._error, self._preparation = error, None
                        break
                _answer(questions)
            if self._unsaved:
                self._save("paused" if self._can_go_on and state == "stopped" else state)
            if self._keeper is not None:
                self._keeper.let_go()
        atexit.unregister(self._end_at_exit)
        # First the listeners: what they show is up to date when a waiter goes on.
        self._tell()
        self._ended.set_result(None)
        self._release_owner()

    # The folder.

    def _save_soon(self, state: State) -> None:
        """Write a checkpoint in the background, if one is due."""
        if self._keeper is not None:
            self._keeper.after_step(self._trainer, _kept(state), self.notes)
            self._tell_problem(self._keeper.problem)

    def _save(self, state: State) -> None:
        """Write the run as it is now."""
        self._unsaved = False
        if self._keeper is not None:
            self._keeper.save(self._trainer, _kept(state), self._error, self.notes)
            self._tell_problem(self._keeper.problem)

    def _tell_problem(self, problem: str) -> None:
        with self._wishes:
            is_new = problem != self._saving_problem
            self._saving_problem = problem
        if is_new:
            self._tell()


def _kept(state: State) -> RunState:
    """Return the state of a run as its folder says it."""
    # There is no run while a session is idle.
    return "paused" if state == "idle" else state


def _answer(questions: list[Callable[[], None]]) -> None:
    # Not in a loop of the training thread: its variable would hold whoever asked last.
    for question in questions:
        question()

"""A session steers a trainer on another thread and changes nothing about its result."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import torch

from sp_widget.errors import ArgumentError, NonFiniteLossError, StateError
from sp_widget.session import Session
from sp_widget.session.estimate import estimate_seconds_left
from sp_widget.session.run import Run
from tests.session.small_trainer import SmallTrainer, flat
from tests.session.watching import PATIENCE, Watch


class Gate:
    """Holds a trainer inside one of its steps until the test has done something."""

    def __init__(self, *at: int) -> None:
        self.at = at
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, position: int) -> None:
        if position in self.at:
            self.reached.set()
            assert self.open.wait(PATIENCE)


def trained(n_steps: int) -> SmallTrainer:
    """What the same trainer gives without a session."""
    trainer = SmallTrainer(n_steps)
    while not trainer.done:
        trainer.step()
    return trainer


def scores_equal(session: Session, trainer: SmallTrainer) -> bool:
    return torch.equal(flat(session.prune_scores), flat(trainer.prune_scores))


def curve(records: list) -> list[tuple]:
    """All of the records but how long each step took."""
    times = ("seconds", "processor_seconds")
    return [tuple(value for key, value in r.to_dict().items() if key not in times) for r in records]


def test_a_run_gives_what_the_trainer_gives() -> None:
    session = Session(SmallTrainer)
    session.start()
    session.wait(PATIENCE)
    assert session.state == "done"
    assert curve(session.history) == curve(trained(50).history)
    assert scores_equal(session, trained(50))
    assert session.snapshot().step == session.snapshot().n_steps == 50


def test_start_returns_before_the_preparation_and_tells_its_progress() -> None:
    gate = Gate(1)
    session = Session(lambda: SmallTrainer(before_batch=gate))
    watch = Watch(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    snapshot = session.snapshot()
    assert (snapshot.state, snapshot.preparation, snapshot.step) == ("preparing", (1, 4), 0)
    gate.open.set()
    snapshot = watch.until_state("running")
    session.wait(PATIENCE)
    assert session.snapshot().preparation is None


def test_pause_takes_effect_after_the_step_in_progress() -> None:
    gate = Gate(5)
    session = Session(lambda: SmallTrainer(before_step=gate))
    watch = Watch(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.pause()
    assert session.state == "running"
    gate.open.set()
    assert watch.until_state("paused").step == 5
    assert scores_equal(session, trained(5))
    session.stop()


def test_resume_goes_on_bit_for_bit() -> None:
    gate = Gate(7)
    session = Session(lambda: SmallTrainer(before_step=gate))
    watch = Watch(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.pause()
    gate.open.set()
    watch.until_state("paused")
    # Draws of others must not enter the run.
    torch.rand(10)
    session.resume()
    session.wait(PATIENCE)
    assert curve(session.history) == curve(trained(50).history)
    assert scores_equal(session, trained(50))


def test_resume_takes_back_a_pause_that_has_not_taken_effect() -> None:
    gate = Gate(5)
    session = Session(lambda: SmallTrainer(before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.pause()
    session.resume()
    gate.open.set()
    session.wait(PATIENCE)
    assert session.state == "done"


def test_the_last_of_quick_wishes_counts() -> None:
    """Also when the training thread has not taken up the one before."""
    session = Session(lambda: SmallTrainer(10**6))
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    for _ in range(50):
        session.resume()
        session.pause()
        watch.until_state("paused")
    before = session.snapshot().step
    session.step()
    with suppress(StateError):
        session.pause()
    watch.until(lambda s: s.state == "paused" and s.step == before + 1)
    session.stop()
    session.wait(PATIENCE)


def test_a_pause_during_the_preparation_takes_effect_after_the_batch() -> None:
    gate = Gate(1)
    session = Session(lambda: SmallTrainer(before_batch=gate))
    watch = Watch(session)
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.pause()
    gate.open.set()
    assert watch.until_state("paused").preparation == (2, 4)
    session.resume()
    session.wait(PATIENCE)
    assert scores_equal(session, trained(50))


def test_step_makes_exactly_one_step_from_idle_and_from_paused() -> None:
    session = Session(lambda: SmallTrainer(3))
    watch = Watch(session)
    for step in (1, 2):
        session.step()
        paused = watch.until(lambda s, step=step: s.state == "paused" and s.step == step)
        assert len(session.history) == paused.step
        assert scores_equal(session, trained(step))
    session.step()
    session.wait(PATIENCE)
    assert session.state == "done"


def test_stop_keeps_what_was_learnt() -> None:
    gate = Gate(5)
    session = Session(lambda: SmallTrainer(before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.stop()
    assert session.state == "stopping"
    gate.open.set()
    session.wait(PATIENCE)
    assert session.state == "stopped"
    assert len(session.history) == 5
    assert scores_equal(session, trained(5))


def test_stop_ends_a_pause_and_a_preparation() -> None:
    session = Session(SmallTrainer)
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    session.stop()
    session.wait(PATIENCE)
    assert (session.state, session.snapshot().step) == ("stopped", 1)

    gate = Gate(1)
    session = Session(lambda: SmallTrainer(before_batch=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.stop()
    gate.open.set()
    session.wait(PATIENCE)
    assert (session.state, session.history) == ("stopped", [])


def test_reset_starts_anew() -> None:
    session = Session(lambda: SmallTrainer(4))
    session.start()
    session.wait(PATIENCE)
    session.reset()
    assert (session.state, session.history, session.error) == ("idle", [], None)
    session.start()
    session.wait(PATIENCE)
    assert session.snapshot().run == 2
    assert curve(session.history) == curve(trained(4).history)


def test_reset_of_a_paused_run_wakes_its_waiters() -> None:
    session = Session(SmallTrainer)
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            session.wait(PATIENCE)
        except StateError as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    session.reset()
    waiter.join(PATIENCE)
    assert len(errors) == 1
    assert session.state == "idle"


def test_a_loss_that_is_not_finite_fails_and_keeps_history_and_scores() -> None:
    trainer = SmallTrainer()

    def explode(step: int) -> None:
        if step == 6:
            trainer.scale = float("nan")

    trainer.before_step = explode
    session = Session(lambda: trainer)
    session.start()
    with pytest.raises(NonFiniteLossError, match="NaN or infinite at step 6"):
        session.wait(PATIENCE)
    assert session.state == "failed"
    assert isinstance(session.error, NonFiniteLossError)
    assert curve(session.history) == curve(trained(5).history)
    assert scores_equal(session, trained(5))
    with pytest.raises(NonFiniteLossError):
        asyncio.run(session.finished())


@pytest.mark.parametrize("where", ["before_step", "before_batch"])
def test_any_error_is_raised_again_by_wait(where: str) -> None:
    def fail(_: int) -> None:
        raise SystemExit("out of memory")

    session = Session(lambda: SmallTrainer(**{where: fail}))
    session.start()
    with pytest.raises(SystemExit, match="out of memory"):
        session.wait(PATIENCE)
    assert session.state == "failed"


def test_an_error_of_the_factory_is_raised_by_start() -> None:
    def factory() -> SmallTrainer:
        raise ArgumentError("circuit_size", "at most 6", 7)

    session = Session(factory)
    with pytest.raises(ArgumentError, match="circuit_size"):
        session.start()
    assert session.state == "idle"


def test_on_end_comes_before_waiters_and_its_error_is_the_run_s() -> None:
    ended: list[str] = []

    def on_end(trainer: SmallTrainer) -> None:
        ended.append(threading.current_thread().name)

    session = Session(lambda: SmallTrainer(2), on_end=on_end)
    session.start()
    session.wait(PATIENCE)
    assert ended == ["sp-widget-training"]

    def fail(trainer: SmallTrainer) -> None:
        raise KeyError("no such name")

    session = Session(lambda: SmallTrainer(2), on_end=fail)
    session.start()
    with pytest.raises(KeyError):
        session.wait(PATIENCE)
    assert session.state == "failed"


def test_wait_gives_up_after_the_timeout_and_the_run_goes_on() -> None:
    gate = Gate(1)
    session = Session(lambda: SmallTrainer(before_step=gate))
    session.start()
    with pytest.raises(TimeoutError, match="running"):
        session.wait(0.01) if gate.reached.wait(PATIENCE) else None
    gate.open.set()
    session.wait(PATIENCE)
    assert session.state == "done"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """The handler that a notebook's cell runs with.

    A process that a script started in the background, as CI may start this one, ignores interrupts.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("taken_by", ["the waiting thread", "another thread", "a finalizer"])
def test_an_interrupt_of_wait_pauses_the_run(taken_by: str) -> None:
    """Whichever thread gets the signal, and also where Python swallows what a handler raises."""
    main = threading.main_thread().ident
    assert main is not None
    interrupted = threading.Event()

    def main_waits() -> bool:
        frame = sys._current_frames().get(main)
        while frame is not None and frame.f_code is not Run.wait.__code__:
            frame = frame.f_back
        return frame is not None

    def interrupt(step: int) -> None:
        if step == 5:
            while not main_waits():
                time.sleep(0.001)
            if taken_by == "a finalizer":
                # The handler drops the last reference: the finalizer runs on the main thread.
                signal.pthread_kill(main, signal.SIGUSR1)
            else:
                other = threading.get_ident()
                signal.pthread_kill(other if taken_by == "another thread" else main, signal.SIGINT)
            assert interrupted.wait(PATIENCE)

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    things = [Finalized()] if taken_by == "a finalizer" else []
    before = signal.signal(signal.SIGUSR1, lambda *_: things.clear())
    session = Session(lambda: SmallTrainer(before_step=interrupt))
    watch = Watch(session)
    session.start()
    with pytest.raises(KeyboardInterrupt):
        # The training thread loses patience first: a late interrupt is a failure, too.
        session.wait(2 * PATIENCE)
    signal.signal(signal.SIGUSR1, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    interrupted.set()
    assert watch.until_state("paused").step == 5
    session.resume()
    session.wait(PATIENCE)
    assert scores_equal(session, trained(50))


@pytest.mark.usefixtures("interruptible")
def test_a_wait_leaves_the_handler_of_somebody_else_in_place() -> None:
    """As asyncio's, which cancels a task instead of raising."""
    taken: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: taken.append(number))

    def interrupt(step: int) -> None:
        if step == 5:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    session = Session(lambda: SmallTrainer(before_step=interrupt))
    session.start()
    session.wait(PATIENCE)
    assert session.state == "done"
    assert taken == [signal.SIGINT]


def test_finished_leaves_the_event_loop_free_and_survives_a_cancel() -> None:
    gate = Gate(3)
    session = Session(lambda: SmallTrainer(5, before_step=gate))

    async def notebook_cell() -> None:
        session.start()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.finished(), 0.01)
        waiting = asyncio.create_task(session.finished())
        await asyncio.sleep(0)
        gate.open.set()
        await waiting

    asyncio.run(notebook_cell())
    assert session.state == "done"


def test_live_changes_count_from_the_next_step_and_are_recorded() -> None:
    gate = Gate(5)
    session = Session(lambda: SmallTrainer(8, before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    session.change(learning_rate=0.5, regularize_lambda=0.0)
    gate.open.set()
    session.wait(PATIENCE)
    assert [r.learning_rate for r in session.history] == [0.1] * 5 + [0.5] * 3
    assert [r.regularize_lambda for r in session.history] == [0.01] * 5 + [0.0] * 3

    expected = trained(5)
    expected.steps_in_all = 8
    expected.change(learning_rate=0.5, regularize_lambda=0.0)
    while not expected.done:
        expected.step()
    assert scores_equal(session, expected)


def test_a_bad_live_change_is_refused_where_it_is_asked_for() -> None:
    session = Session(SmallTrainer)
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    with pytest.raises(ArgumentError, match="learning_rate: wanted a number above 0"):
        session.change(learning_rate=0.0)
    with pytest.raises(ArgumentError, match="epochs"):
        session.change(epochs=3)
    session.stop()


@pytest.mark.parametrize("action", ["pause", "resume", "stop", "wait"])
def test_what_idle_does_not_allow_says_so(action: str) -> None:
    session = Session(SmallTrainer)
    with pytest.raises(StateError, match="nothing was started"):
        getattr(session, action)()


@pytest.mark.parametrize(
    "action", ["start", "pause", "resume", "stop", "step", lambda s: s.change(learning_rate=1.0)]
)
def test_what_an_ended_run_does_not_allow_says_its_state(
    action: str | Callable[[Session], None],
) -> None:
    session = Session(lambda: SmallTrainer(1))
    session.start()
    session.wait(PATIENCE)
    with pytest.raises(StateError, match="done"):
        action(session) if callable(action) else getattr(session, action)()


@pytest.mark.parametrize("action", ["start", "step", "resume", "reset"])
def test_what_a_running_session_does_not_allow_says_so(action: str) -> None:
    gate = Gate(1)
    session = Session(lambda: SmallTrainer(2, before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    with pytest.raises(StateError, match="running"):
        getattr(session, action)()
    gate.open.set()
    session.wait(PATIENCE)


def test_a_trainer_that_is_under_way_keeps_its_history() -> None:
    trainer = trained(3)
    trainer.steps_in_all = 5
    session = Session(lambda: trainer)
    session.start()
    session.wait(PATIENCE)
    assert curve(session.history) == curve(trained(5).history)


def test_the_time_left_is_not_moved_by_a_hiccup() -> None:
    assert estimate_seconds_left([0.5, 0.5, 60.0, 0.5], steps_left=10) == 5.0
    assert estimate_seconds_left([], steps_left=10) is None
    assert estimate_seconds_left([0.5], steps_left=0) is None


def test_the_training_thread_cannot_wait_for_itself() -> None:
    session: Session = Session(lambda: SmallTrainer(before_step=lambda step: session.wait()))
    session.start()
    with pytest.raises(StateError, match="cannot wait for itself"):
        session.wait(PATIENCE)


def test_the_training_thread_may_read_the_scores() -> None:
    seen = []
    session: Session = Session(
        lambda: SmallTrainer(2, before_step=lambda step: seen.append(session.prune_scores))
    )
    session.start()
    session.wait(PATIENCE)
    assert len(seen) == 2

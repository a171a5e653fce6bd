"""Whatever is clicked, in whatever order and from whichever thread: a session follows its table.

`SP_WIDGET_STATE_STEPS` says how many actions are tried; each may be clicked from three threads.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import StateError
from sp_widget.methods.base import Trainer
from sp_widget.session import ACTIVE, ENDED, Session, State
from sp_widget.session.state import TABLE, TAKES_BACK, Action, Cause, check_action, check_next
from sp_widget.widget.namespace import Delivery
from sp_widget.widget.publisher import Publisher
from tests.session.small_trainer import SmallTrainer
from tests.session.watching import PATIENCE

STEPS = int(os.environ.get("SP_WIDGET_STATE_STEPS", "150"))
STEPS_OF_AN_EXAMPLE = 25

INTERVAL = 0.005
"""Seconds between two publications: a few steps of the small trainer."""

NAME = "prune_scores"

STATES: tuple[State, ...] = get_args(State)
CAUSES: tuple[Cause, ...] = (*get_args(Action), "training")

CLICKS: dict[Action, Callable[[Session], object]] = {
    "start": Session.start,
    "step": Session.step,
    "pause": Session.pause,
    "resume": Session.resume,
    "stop": Session.stop,
    "reset": Session.reset,
    "change": lambda session: session.change(learning_rate=0.05),
    "restore_best": Session.restore_best,
}

REACHED: dict[State, set[State]] = {
    state: {after for next_ones in TABLE[state].values() for after in next_ones} | {state}
    for state in STATES
}


class Clicks(RuleBasedStateMachine):
    """A session, a publisher that shows it, a name for the scores, and people who click.

    Where the cell is run again, sessions that began earlier go on beside it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fault: BaseException | None = None
        self.earlier: list[Session] = []
        self.variables: dict[str, Any] = {}
        self.n_sessions = 0
        self.claimed = 0
        """The session that began a run last."""
        self.saved: dict[int, PruneScores] = {}
        """A session to the scores of its last run, if that came to an end."""
        self.begin()

    def begin(self) -> None:
        self.n_sessions += 1
        number = self.n_sessions

        def before(_: int) -> None:
            fault, self.fault = self.fault, None
            if fault is not None:
                raise fault

        # As the widget does it.
        def make() -> SmallTrainer:
            delivery.begin()
            self.claimed = number
            self.saved.pop(number, None)
            return SmallTrainer(6, before_step=before, before_batch=before)

        def save(trainer: Trainer[Any]) -> None:
            if trainer.step_count:
                scores = trainer.prune_scores
                delivery.deliver(scores)
                self.saved[number] = scores

        session = Session(make, on_end=save, threads=1)
        # Not in a circle: a session that nobody refers to is gone at once.
        reference = weakref.ref(session)

        def under_way() -> bool:
            session = reference()
            return session is not None and session.state in ACTIVE

        delivery = Delivery(NAME, lambda: self.variables, under_way=under_way)
        # Of this session alone: the publisher of the one before may be at work still.
        shown, shows = list[State](["idle"]), threading.Condition()

        def show() -> None:
            session = reference()
            with shows:
                if session is not None:
                    shown.append(session.state)
                shows.notify_all()

        self.session, self.shown, self.shows = session, shown, shows
        self.began = time.monotonic()
        self.publisher = Publisher(show, interval=INTERVAL)
        self.session.subscribe(self.publisher.wake)
        self.threads: list[threading.Thread] = []

    @rule(action=st.sampled_from(sorted(CLICKS)), people=st.integers(1, 3))
    def click(self, action: Action, people: int) -> None:
        before = self.session.state
        refused: list[BaseException] = []

        def click(_: int) -> None:
            try:
                CLICKS[action](self.session)
            except StateError as error:
                refused.append(error)

        if people == 1:
            click(0)
            if before not in ACTIVE:
                # Nothing else changes such a state: the table alone decides.
                assert bool(refused) == (action not in TABLE[before]), (before, action)
        else:
            with ThreadPoolExecutor(people) as pool:
                list(pool.map(click, range(people)))

    @rule(fault=st.sampled_from([RuntimeError("fault"), MemoryError(), KeyboardInterrupt()]))
    def fail_soon(self, fault: BaseException) -> None:
        self.fault = fault

    @rule()
    def let_it_train(self) -> None:
        # No precondition: what Hypothesis draws must not depend on a thread.
        self.until(lambda state: state not in ("running", "preparing", "stopping"))

    @rule()
    def ask_for_the_scores(self) -> None:
        if self.session.state == "idle":
            with pytest.raises(StateError):
                _ = self.session.prune_scores
        else:
            assert self.session.prune_scores is not None

    @rule()
    def run_the_cell_again(self) -> None:
        """Another session takes the name over; the former goes on unseen, or waits for ever."""
        self.publisher.close()
        self.earlier.append(self.session)
        self.begin()
        self.session.start()

    @rule()
    def close(self) -> None:
        """Nobody refers to the sessions any more: pauses end, trainings come to their end."""
        self.fault = None
        running = trainings()
        self.publisher.close()
        self.earlier.clear()
        del self.session, self.publisher
        gc.collect(1)
        for thread in running:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.check_the_name()
        self.begin()

    @invariant()
    def is_in_a_state(self) -> None:
        snapshot = self.session.snapshot()
        assert snapshot.state in STATES
        assert (snapshot.error is not None) == (snapshot.state == "failed")

    @invariant()
    def keeps_the_promised_rate(self) -> None:
        """However late a publication is on a busy machine, so many take so long at least."""
        with self.shows:
            n_published = len(self.shown) - 1
        assert (n_published - 1) * INTERVAL <= time.monotonic() - self.began

    def check_the_name(self) -> None:
        """The variable has the scores of the session that began last, where it has any."""
        if self.claimed in self.saved:
            assert self.variables[NAME] is self.saved[self.claimed]

    def until(self, holds: Callable[[State], bool]) -> None:
        """Wait until the publisher has shown such a state: the last one always arrives."""
        with self.shows:
            seen = self.shows.wait_for(
                lambda: holds(self.shown[-1]) and holds(self.session.state),
                PATIENCE,
            )
        assert seen, (self.session.state, self.shown[-3:])

    def teardown(self) -> None:
        """From wherever it is, buttons lead to a new run."""
        self.fault = None
        for session in (*self.earlier, self.session):
            if session.state in ACTIVE:
                try:
                    session.stop()
                except StateError:
                    assert session.state in (*ENDED, "stopping")
        for thread in trainings():
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.until(lambda state: state == "idle" or state in ENDED)
        self.check_the_name()
        self.session.reset()
        self.session.step()
        self.until(lambda state: state in ("paused", "failed"))
        self.session.reset()
        self.until(lambda state: state == "idle")
        self.publisher.close()


def trainings() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "sp-widget-training"]


def test_no_order_of_clicks_faults_and_closings_leaves_the_table() -> None:
    run_state_machine_as_test(
        Clicks,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_OF_AN_EXAMPLE),
            stateful_step_count=STEPS_OF_AN_EXAMPLE,
            deadline=None,
            database=None,
            derandomize=True,
            # With threads a failure need not come again in a smaller example.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_button_leads_out_of_every_state() -> None:
    """Or the training by itself, at the end of the step in progress."""
    for state in STATES:
        reached, waiting = {state}, [state]
        while waiting:
            for after in REACHED[waiting.pop()] - reached:
                reached.add(after)
                waiting.append(after)
        assert "idle" in reached, state
        buttons = (
            set(TABLE[state]) - {"training"} - {a for a in TAKES_BACK if state in TAKES_BACK[a]}
        )
        assert buttons or state == "stopping", state


def test_what_the_table_does_not_name_is_refused() -> None:
    for state in STATES:
        for action in get_args(Action):
            if action in TABLE[state]:
                check_action(state, action, wish=True)
            else:
                with pytest.raises(StateError, match=r"cannot .*: "):
                    check_action(state, action, wish=True)
        for after in STATES:
            for cause in CAUSES:
                if after not in TABLE[state].get(cause, ()):
                    with pytest.raises(RuntimeError, match=f"{cause} leads from {state}"):
                        check_next(state, cause, after)


def test_the_documentation_shows_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    assert markdown() in page.read_text(encoding="utf-8")


def markdown() -> str:
    lines = ["| state | " + " | ".join(CAUSES) + " |", "|---" * (len(CAUSES) + 1) + "|"]
    for state, row in TABLE.items():
        cells = []
        for cause in CAUSES:
            takes_back = cause != "training" and state in TAKES_BACK.get(cause, ())
            cells.append(", ".join(row.get(cause, ())) + (" *" if takes_back else ""))
        lines.append(f"| **{state}** | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"

"""Whatever is clicked, in whatever order and from whichever thread: a session follows its table.

`SP_WIDGET_STATE_STEPS` says how many actions are tried; each may be clicked from three threads.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sp_widget.errors import StateError
from sp_widget.session import ACTIVE, ENDED, Session, State
from sp_widget.session.state import TABLE, TAKES_BACK, Action, Cause, check_action, check_next
from sp_widget.widget.publisher import Publisher
from tests.session.small_trainer import SmallTrainer
from tests.session.watching import PATIENCE

STEPS = int(os.environ.get("SP_WIDGET_STATE_STEPS", "150"))
STEPS_OF_AN_EXAMPLE = 25

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
    """A session, a publisher that shows it, and people who click."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: BaseException | None = None
        self.begin()

    def begin(self) -> None:
        def before(_: int) -> None:
            fault, self.fault = self.fault, None
            if fault is not None:
                raise fault

        self.session = Session(
            lambda: SmallTrainer(6, before_step=before, before_batch=before), threads=1
        )
        self.shown: list[State] = ["idle"]
        self.shows = threading.Condition()
        self.publisher = Publisher(self.show, interval=0.0)
        self.session.subscribe(self.publisher.wake)
        self.threads: list[threading.Thread] = []

    def show(self) -> None:
        with self.shows:
            self.shown.append(self.session.state)
            self.shows.notify_all()

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
    def close(self) -> None:
        """Nobody refers to the session any more: a pause ends, a training comes to its end."""
        self.fault = None
        running = [t for t in threading.enumerate() if t.name == "sp-widget-training"]
        self.publisher.close()
        del self.session, self.publisher
        gc.collect(1)
        for thread in running:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        self.begin()

    @invariant()
    def is_in_a_state(self) -> None:
        snapshot = self.session.snapshot()
        assert snapshot.state in STATES
        assert (snapshot.error is not None) == (snapshot.state == "failed")

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
        if self.session.state in ACTIVE:
            try:
                self.session.stop()
            except StateError:
                assert self.session.state in (*ENDED, "stopping")
            self.until(lambda state: state in ENDED)
        self.session.reset()
        self.session.step()
        self.until(lambda state: state in ("paused", "failed"))
        self.session.reset()
        self.until(lambda state: state == "idle")
        self.publisher.close()


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

"""Evaluations and the way back to the best masks, asked for while a training goes on."""

from __future__ import annotations

import threading

import pytest
import torch

from sp_widget.errors import StateError
from sp_widget.methods.record import HardEvaluation
from sp_widget.session import Intervention, Session
from tests.session.small_trainer import SmallTrainer, flat
from tests.session.test_session import Gate, curve, scores_equal, trained
from tests.session.watching import PATIENCE, Watch


def test_an_evaluation_is_made_between_two_steps_and_changes_nothing() -> None:
    gate = Gate(3)
    session = Session(lambda: SmallTrainer(6, before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    answer = session.evaluate()
    assert not answer.done(), "nobody waits for the step in progress"
    gate.open.set()
    assert answer.result(PATIENCE).step == 3
    session.wait(PATIENCE)
    snapshot = session.snapshot()
    assert snapshot.evaluations == (answer.result(),)
    assert snapshot.best == answer.result()
    assert snapshot.interventions == (Intervention(3, "evaluate"),)
    expected = trained(6)
    assert scores_equal(session, expected)
    assert curve(session.history) == curve(expected.history)


def test_there_is_nothing_to_evaluate_before_the_training_is_prepared() -> None:
    gate = Gate(1)
    session = Session(lambda: SmallTrainer(before_batch=gate))
    with pytest.raises(StateError, match="nothing was started"):
        session.evaluate()
    session.start()
    assert gate.reached.wait(PATIENCE)
    answer = session.evaluate()
    gate.open.set()
    with pytest.raises(StateError, match="not prepared"):
        answer.result(PATIENCE)
    session.wait(PATIENCE)
    assert session.state == "done", "the training goes on"


def test_the_best_masks_come_back_while_paused_and_the_training_goes_on_from_them() -> None:
    session = Session(lambda: SmallTrainer(20))
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    session.evaluate().result(PATIENCE)
    best = flat(session.prune_scores)
    session.step()
    watch.until(lambda s: s.state == "paused" and s.step == 2)
    before = session.snapshot().masks
    assert session.restore_best().result(PATIENCE).step == 1
    assert torch.equal(flat(session.prune_scores), best)
    assert session.snapshot().masks != before
    session.resume()
    session.wait(PATIENCE)
    assert len(session.history) == 20

    expected = SmallTrainer(20)
    expected.step()
    expected.evaluate()
    expected.step()
    expected.restore_best()
    while not expected.done:
        expected.step()
    assert scores_equal(session, expected)
    assert [(done.step, done.action) for done in session.snapshot().interventions] == [
        (1, "evaluate"),
        (2, "restore_best"),
    ]


def test_the_best_masks_do_not_come_back_under_a_running_training() -> None:
    gate = Gate(2)
    session = Session(lambda: SmallTrainer(before_step=gate))
    session.start()
    assert gate.reached.wait(PATIENCE)
    with pytest.raises(StateError, match="cannot restore the best masks: the run is running"):
        session.restore_best()
    gate.open.set()
    session.wait(PATIENCE)
    with pytest.raises(StateError, match="nothing was evaluated"):
        session.restore_best().result(PATIENCE)


def test_live_changes_are_kept_in_order_with_the_steps_that_were_done() -> None:
    session = Session(lambda: SmallTrainer(5))
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    session.change(learning_rate=0.5)
    watch.until(lambda s: len(s.interventions) == 1)
    session.evaluate().result(PATIENCE)
    session.resume()
    session.wait(PATIENCE)
    assert session.snapshot().interventions == (
        Intervention(1, "learning_rate", 0.5),
        Intervention(1, "evaluate"),
    )


class SlowToMeasure(SmallTrainer):
    """Stays in its evaluation until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(3)
        self.inside, self.go_on = threading.Event(), threading.Event()

    def evaluate(self) -> HardEvaluation:
        self.inside.set()
        assert self.go_on.wait(PATIENCE)
        return super().evaluate()


def test_a_long_evaluation_after_the_end_holds_up_nobody_who_looks() -> None:
    trainer = SlowToMeasure()
    session = Session(lambda: trainer)
    session.start()
    session.wait(PATIENCE)
    asker = threading.Thread(target=session.evaluate)
    asker.start()
    assert trainer.inside.wait(PATIENCE)
    assert session.snapshot().state == "done"
    assert len(session.history) == 3
    trainer.go_on.set()
    asker.join(PATIENCE)
    assert len(session.snapshot().evaluations) == 1


def test_listeners_learn_of_the_end_before_those_who_wait() -> None:
    """Who waits for the end and then looks at what a listener shows sees the end there."""
    session = Session(lambda: SmallTrainer(3))
    seen: list[str] = []
    session.subscribe(lambda: seen.append(session.state))
    session.start()
    session.wait(PATIENCE)
    assert seen[-1] == "done"

"""Many threads steer one session: nothing deadlocks, and the trainer has one owner."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sp_widget.errors import StateError
from sp_widget.methods.record import StepRecord
from sp_widget.session import ENDED, Session
from sp_widget.session.run import THREAD_NAME
from tests.session.small_trainer import SmallTrainer
from tests.session.watching import PATIENCE, Watch


class OneOwner(SmallTrainer):
    """Notices when two threads are inside it at once, or a foreign one while it trains."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_steps)
        self.inside = threading.Lock()
        self.trespassers: list[str] = []

    def _enter(self) -> None:
        name = threading.current_thread().name
        if name != THREAD_NAME or not self.inside.acquire(blocking=False):
            self.trespassers.append(name)

    def step(self) -> StepRecord:
        self._enter()
        record = super().step()
        self.inside.release()
        return record

    def preparation(self) -> Iterator[tuple[int, int]]:
        for progress in super().preparation():
            self._enter()
            self.inside.release()
            yield progress

    @property
    def prune_scores(self) -> dict[str, Tensor]:
        if not self.done:
            self._enter()
            self.inside.release()
        return super().prune_scores


def harass(session: Session, actions: list[str], seed: int, end: threading.Event) -> None:
    chance = random.Random(seed)
    while not end.is_set():
        try:
            action = chance.choice(actions)
            if action == "prune_scores":
                assert session.prune_scores
            elif action == "snapshot":
                snapshot = session.snapshot()
                assert snapshot.step <= snapshot.n_steps
            else:
                getattr(session, action)()
        except StateError:
            # Another thread was quicker: exactly what the error is for.
            continue
        end.wait(chance.random() * 0.004)


def test_pauses_and_steps_from_many_threads_leave_the_result_bit_exact() -> None:
    n_steps = 1500
    trainer = OneOwner(n_steps)
    session = Session(lambda: trainer)
    watch = Watch(session)
    end = threading.Event()
    actions = ["pause", "resume", "step", "prune_scores", "snapshot"]
    session.start()
    threads = [
        threading.Thread(target=harass, args=(session, actions, seed, end)) for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    # Enough steps for hundreds of pauses; then the rest in peace.
    watch.until(lambda snapshot: snapshot.step > 400 or snapshot.state in ENDED)
    end.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if session.state != "done":
        try:
            session.resume()
        except StateError:
            assert session.state in ("running", "done")
    session.wait(PATIENCE)

    expected = SmallTrainer(n_steps)
    while not expected.done:
        expected.step()
    assert trainer.trespassers == []
    assert [r.loss for r in session.history] == [r.loss for r in expected.history]
    assert torch.equal(session.prune_scores["edges"], expected.prune_scores["edges"])


@pytest.mark.parametrize("seed", range(3))
def test_every_action_in_random_order_never_hangs(seed: int) -> None:
    before = set(threading.enumerate())
    session = Session(lambda: SmallTrainer(100_000))
    end = threading.Event()
    actions = ["start", "pause", "resume", "step", "stop", "reset", "prune_scores", "snapshot"]
    threads = [
        threading.Thread(target=harass, args=(session, actions, 100 * seed + i, end))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    end.wait(1.0)
    end.set()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    if session.state not in {"idle", *ENDED}:
        if session.state != "stopping":
            session.stop()
        session.wait(PATIENCE)
        assert session.state == "stopped"
    # Runs that were reset end as well.
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_process_ends_cleanly_in_the_middle_of_runs() -> None:
    script = """
import threading
from sp_widget.session import Session
from tests.session.small_trainer import SmallTrainer
stepped = threading.Event()
running = Session(lambda: SmallTrainer(10**9, before_step=lambda step: stepped.set()))
paused = Session(SmallTrainer)
paused.step()
running.start()
stepped.wait()
"""
    result = subprocess.run(
        # Importing torch took more than a minute on a machine with much else to do.
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

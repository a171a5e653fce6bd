"""A run uses a number of threads of its own, which changes nothing elsewhere and is repeatable."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.methods.base import Trainer
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.session import Intervention, Session
from sp_widget.session.threads import threads_of_process, use_threads
from tests import model_kinds
from tests.session.small_trainer import SmallTrainer, flat
from tests.session.watching import PATIENCE, Watch

AVAILABLE = 3


@pytest.fixture
def three_threads() -> Iterator[None]:
    """A process in which nobody wants torch to use one thread, as the tests do otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(AVAILABLE)
    yield
    torch.set_num_threads(before)


def settings() -> tuple[int, int]:
    """Threads of the calling thread, and of one that begins now."""
    return torch.get_num_threads(), threads_of_process()


class Noting(SmallTrainer):
    """Notes how many threads each step uses, and may be slow with more than one."""

    def __init__(self, n_steps: int = 5, *, wait: Callable[[int, int], float], fail: int = 0):
        super().__init__(n_steps)
        self.wait, self.fail = wait, fail
        self.made: list[tuple[int, int]] = []

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        if step == self.fail:
            raise RuntimeError("a step failed")
        self.made.append((self.step_count, torch.get_num_threads()))
        # A step of known length with each number of threads.
        time.sleep(self.wait(self.step_count, torch.get_num_threads()))
        return super().make_step(step)


def finished(make: Callable[[], Trainer[Any]], **arguments: Any) -> Session:
    session = Session(make, **arguments)
    session.start()
    with suppress(RuntimeError):
        session.wait(PATIENCE)
    return session


@pytest.mark.usefixtures("three_threads")
def test_a_number_is_set_for_the_calling_thread_alone() -> None:
    seen = []

    def work() -> None:
        for number in (1, 2):
            use_threads(number)
            seen.append(settings())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(1, AVAILABLE), (2, AVAILABLE)]
    assert settings() == (AVAILABLE, AVAILABLE)


@pytest.mark.usefixtures("three_threads")
def test_many_threads_at_once_leave_the_number_of_the_process() -> None:
    threads = [threading.Thread(target=use_threads, args=(1 + i % 4,)) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert settings() == (AVAILABLE, AVAILABLE)


@pytest.mark.usefixtures("three_threads")
def test_all_steps_use_the_number_that_was_asked_for() -> None:
    trainer = Noting(wait=lambda step, threads: 0)
    session = finished(lambda: trainer, threads=2)
    assert trainer.made == [(step, 2) for step in range(5)]
    assert session.snapshot().threads == 2
    assert session.snapshot().interventions == (Intervention(0, "threads", 2),)


@pytest.mark.usefixtures("three_threads")
def test_the_quickest_number_is_found_and_kept() -> None:
    trainer = Noting(wait=lambda step, threads: 0.004 if threads == 2 else 0.02)
    session = finished(lambda: trainer)
    assert session.snapshot().threads == 2
    assert trainer.made[-5:] == [(step, 2) for step in range(5)]
    # The trial's steps came before; each was undone.
    assert {threads for step, threads in trainer.made[:-5]} == {1, 2, 3}
    assert {step for step, threads in trainer.made[:-5]} == {0}
    assert len(session.history) == 5


@pytest.mark.usefixtures("three_threads")
def test_a_trial_changes_nothing_about_the_result() -> None:
    session = finished(lambda: Noting(wait=lambda step, threads: 0.004 * threads))
    expected = SmallTrainer(5)
    torch.set_num_threads(1)
    while not expected.done:
        expected.step()
    assert [r.loss for r in session.history] == [r.loss for r in expected.history]
    assert torch.equal(flat(session.prune_scores), flat(expected.prune_scores))


@pytest.mark.usefixtures("three_threads")
def test_steps_that_become_much_slower_are_tried_again_and_it_is_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The pace of a test: no minute of training between two trials.
    monkeypatch.setattr("sp_widget.session.threads.SHARE_OF_TRIALS", 10.0)

    def wait(step: int, threads: int) -> float:
        busy = step >= 20
        return 0.05 * threads if busy and threads > 1 else 0.02 / threads

    session = finished(lambda: Noting(60, wait=wait))
    # Three threads at first: torch's own number, so there was nothing to note.
    (noted,) = session.snapshot().interventions
    assert (noted.action, noted.value) == ("threads", 1)
    assert 20 < noted.step < 30
    assert session.snapshot().threads == 1
    assert "OMP_WAIT_POLICY=PASSIVE" in session.snapshot().threads_note


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("fail", [0, 1, 4], ids=["done", "failed in the trial", "failed later"])
def test_the_setting_of_the_process_stays_what_it_is(fail: int) -> None:
    seen = set()
    trainer = Noting(wait=lambda step, threads: 0.002 * threads, fail=fail)
    session = Session(lambda: trainer)
    session.subscribe(lambda: seen.add(threads_of_process()))
    session.start()
    with suppress(RuntimeError):
        session.wait(PATIENCE)
    assert session.state == ("failed" if fail else "done")
    assert seen == {AVAILABLE}
    assert settings() == (AVAILABLE, AVAILABLE)


@pytest.mark.usefixtures("three_threads")
def test_the_trial_can_be_paused_and_stopped() -> None:
    in_trial = threading.Event()

    def wait(step: int, threads: int) -> float:
        in_trial.set()
        return 0.01

    session = Session(lambda: Noting(wait=wait))
    watch = Watch(session)
    session.start()
    assert in_trial.wait(PATIENCE)
    session.pause()
    assert watch.until_state("paused").step == 0
    session.stop()
    session.wait(PATIENCE)
    assert (session.state, session.history) == ("stopped", [])
    assert settings() == (AVAILABLE, AVAILABLE)


def test_where_torch_is_set_to_one_thread_nothing_is_tried() -> None:
    assert torch.get_num_threads() == 1
    trainer = Noting(wait=lambda step, threads: 0)
    session = finished(lambda: trainer)
    assert trainer.made == [(step, 1) for step in range(5)]
    assert (session.snapshot().threads, session.snapshot().interventions) == (1, ())


def test_one_thread_in_the_environment_is_respected() -> None:
    script = """
from sp_widget.session import Session
from tests.session.small_trainer import SmallTrainer
made = []
session = Session(lambda: SmallTrainer(3, before_step=made.append))
session.start()
session.wait()
print(session.snapshot().threads, made)
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.stdout == "1 [1, 2, 3]\n", result.stderr


def probing() -> SubnetworkProbing:
    config = SubnetworkProbingConfig(epochs=4, seed=1, warm_start=True, completeness_lambda=0.1)
    model = patchable_model(model_kinds.bridge("native-ln"))
    return SubnetworkProbing(model, model_kinds.dataloader(), config, model_kinds.dataloader(3, 3))


@pytest.mark.usefixtures("three_threads")
def test_a_run_of_a_real_method_repeats_bit_for_bit_also_when_its_number_was_found() -> None:
    found = finished(probing)
    number = found.snapshot().threads
    for _ in range(2):
        repeated = finished(probing, threads=number)
        assert [r.loss for r in repeated.history] == [r.loss for r in found.history]
        assert torch.equal(flat(repeated.prune_scores), flat(found.prune_scores))
        assert repeated.snapshot().evaluations == found.snapshot().evaluations


@pytest.mark.parametrize("prepared", [False, True])
def test_rehearsed_steps_leave_nothing_behind(prepared: bool) -> None:
    trainer, expected = probing(), probing()
    if prepared:
        trainer.step()
    before = {name: value.clone() for name, value in trainer.tensors.items()}
    rehearsal = trainer.rehearsal()
    assert all(next(rehearsal) > 0 for _ in range(3))
    rehearsal.close()
    assert trainer.prepared is prepared
    for name, value in trainer.tensors.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)
    trainer.run(progress=False)
    expected.run(progress=False)
    assert [r.loss for r in trainer.history] == [r.loss for r in expected.history]
    assert torch.equal(flat(trainer.prune_scores), flat(expected.prune_scores))


@pytest.mark.parametrize("threads", [0, "all"])
def test_what_is_no_number_of_threads_is_refused_at_once(threads: Any) -> None:
    with pytest.raises(ArgumentError, match="threads"):
        Session(SmallTrainer, threads=threads)

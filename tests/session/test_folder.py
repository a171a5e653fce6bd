"""A session keeps its runs in a folder, and goes on with one that was read from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sp_widget.errors import ArgumentError, StateError
from sp_widget.methods.base import Trainer
from sp_widget.methods.run_files import read_trainer
from sp_widget.runs import RunFolder
from sp_widget.session import Session
from tests import model_kinds
from tests.methods.test_exactness import _model, course, moment, same, trainer_of
from tests.session.watching import PATIENCE, Watch


def new_trainer() -> Trainer[Any]:
    return trainer_of("subnetwork_probing")


def read(folder: Path) -> tuple[Trainer[Any], Any]:
    return read_trainer(folder, _model(), model_kinds.dataloader(), model_kinds.dataloader(2, 4))


def test_pause_stop_failure_and_the_end_are_kept(tmp_path: Path) -> None:
    session = Session(new_trainer, folder=tmp_path)
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    session.change(learning_rate=0.1)
    session.post(lambda trainer: None).result(PATIENCE)
    session.save()
    folder = RunFolder(tmp_path / "run-1")
    assert (folder.status.state, folder.status.step) == ("paused", 1)
    _, notes = read(folder.path)
    assert notes["interventions"][-1] == {"step": 1, "action": "learning_rate", "value": 0.1}
    session.stop()
    session.wait(PATIENCE)
    assert (folder.status.state, folder.under_way) == ("stopped", False)
    session.restore_best().result(PATIENCE)
    assert read(folder.path)[1]["interventions"][-1]["action"] == "restore_best"

    session.reset()
    session.start()
    session.wait(PATIENCE)
    folder = RunFolder(tmp_path / "run-2")
    assert (folder.status.state, folder.status.step) == ("done", 3)
    assert same(moment(read(folder.path)[0]), course("subnetwork_probing")[-1])

    def failing() -> Trainer[Any]:
        trainer = new_trainer()
        trainer.callbacks.append(lambda record: 1 / 0)
        return trainer

    session = Session(failing, folder=tmp_path)
    session.start()
    with pytest.raises(ZeroDivisionError):
        session.wait(PATIENCE)
    status = RunFolder(tmp_path / "run-3").status
    assert (status.state, status.error) == ("failed", "ZeroDivisionError: division by zero")


def test_a_run_that_was_read_goes_on_bit_by_bit_with_what_was_done_to_it(tmp_path: Path) -> None:
    first = Session(new_trainer, folder=tmp_path, threads=1)
    watch = Watch(first)
    first.step()
    watch.until_state("paused")
    first.change(learning_rate=0.1)
    first.evaluate().result(PATIENCE)
    first.save()
    # Read while the first session still has it: what a killed process leaves.
    trainer, notes = read(tmp_path / "run-1")
    status = RunFolder(tmp_path / "run-1").status
    second = Session(new_trainer)
    with pytest.raises(StateError, match="under way"):
        second.go_on(trainer, notes, status, tmp_path / "run-1")
    done = first.snapshot().interventions
    first.resume()
    first.wait(PATIENCE)

    watch = Watch(second)
    second.go_on(trainer, notes, status)
    snapshot = watch.until_state("paused")
    assert (snapshot.step, snapshot.interventions, snapshot.threads) == (1, done, 1)
    assert second.history == first.history[:1]
    second.resume()
    second.wait(PATIENCE)
    moments = [session.post(moment).result(PATIENCE) for session in (first, second)]
    assert same(*moments)

    # One that had ended is at its end again, and can still be measured and kept.
    third = Session(new_trainer)
    folder = RunFolder(tmp_path / "run-1")
    trainer, notes = read(folder.path)
    third.go_on(trainer, notes, folder.status, folder.path)
    assert (third.state, third.snapshot().step) == ("done", 3)
    third.wait(PATIENCE)
    third.evaluate().result(PATIENCE)
    assert read(folder.path)[1]["interventions"][-1]["action"] == "evaluate"
    third.reset()
    assert not folder.under_way


def test_notes_that_no_session_wrote_are_refused() -> None:
    trainer = new_trainer()
    status = None
    for notes in (
        {"threads": 0},
        {"threads": "many"},
        {"interventions": 3},
        {"interventions": [{"step": 1, "action": "evaluate", "value": None}]},
        {"interventions": [{"step": 0, "action": "nonsense", "value": None}]},
        {"interventions": [{"step": 0, "action": "learning_rate", "value": None}]},
        {"interventions": [{"step": 0, "action": "learning_rate", "value": float("nan")}]},
    ):
        with pytest.raises(ArgumentError, match="folder"):
            Session(new_trainer).go_on(trainer, notes, status)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path: Path) -> None:
    session = Session(new_trainer, folder=tmp_path)
    watch = Watch(session)
    session.step()
    watch.until_state("paused")
    session.save()
    (tmp_path / "run-1" / "history.jsonl").unlink()
    (tmp_path / "run-1" / "history.jsonl").mkdir()
    session.resume()
    session.wait(PATIENCE)
    snapshot = session.snapshot()
    assert snapshot.state == "done"
    assert "could not be saved" in snapshot.saving_problem
    with pytest.raises(OSError, match="could not be saved"):
        session.save()

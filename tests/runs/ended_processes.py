"""python -m tests.runs.ended_processes FOLDER TIMES

Kills a training that saves itself after every step, goes on from its folder, and compares every
moment with an undisturbed training. Then it starts a session in `FOLDER/session` and ends.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from sp_widget.files import TEMPORARY, remove_leftovers
from sp_widget.folder_lock import FolderLock, is_held
from sp_widget.methods.base import Trainer
from sp_widget.methods.run_files import RunWriter, moment_of
from sp_widget.session import Session
from tests import model_kinds
from tests.killing import killed
from tests.methods.test_exactness import _model, moment, same, trainer_of
from tests.session.watching import Watch


def load(folder: Path) -> Trainer:
    validation = model_kinds.dataloader(2, 4)
    return Trainer.load(folder, _model(), model_kinds.dataloader(), validation)


def main(folder: Path, times: int) -> None:
    whole = trainer_of("subnetwork_probing", steps=100_000, evaluate_every=3)
    whole.save(folder)
    chance, last, torn = random.Random(0), 0, 0
    for _ in range(times):

        def work(tell: Callable[[int], None]) -> None:
            trainer, writer = load(folder), RunWriter(folder)
            lock = FolderLock(folder)
            lock.take()
            while True:
                trainer.step()
                writer.write(moment_of(trainer))
                tell(trainer.step_count)

        heard = killed(work, chance)
        assert not is_held(folder), "the lock is still held"
        trainer = load(folder)
        last = trainer.step_count
        assert last >= heard, "a saved step was lost"
        whole.run(progress=False, until_step=last)
        assert same(moment(trainer), moment(whole)), f"step {last} is another"
        lines = (folder / "history.jsonl").read_bytes()
        in_the_middle = lines.count(b"\n") != last or not lines.endswith(b"\n")
        torn += in_the_middle or bool(list(folder.glob(TEMPORARY)))
        remove_leftovers(folder)
    print(f"killed {times} times, {torn} times in the middle, went on exactly to step {last}")


def leave(folder: Path) -> None:
    """Start a training and return while it runs, as a kernel is shut down."""
    session = Session(lambda: trainer_of("subnetwork_probing", steps=100_000), folder=folder)
    watch = Watch(session)
    session.start()
    watch.until(lambda now: now.step > 3)


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "killed", int(sys.argv[2]))
    leave(Path(sys.argv[1]) / "session")

"""python -m tests.methods.killed_while_saving FOLDER TIMES

Kills a training that saves itself after every step, goes on from its folder, and compares every
moment with an undisturbed training.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

from sp_widget.files import TEMPORARY, remove_leftovers
from sp_widget.methods.base import Trainer
from tests import model_kinds
from tests.killing import killed
from tests.methods.test_exactness import _model, moment, same, trainer_of


def load(folder: Path) -> Trainer:
    validation = model_kinds.dataloader(2, 4)
    return Trainer.load(folder, _model(), model_kinds.dataloader(), validation)


def main(folder: Path, times: int) -> None:
    whole = trainer_of("subnetwork_probing", steps=100_000, evaluate_every=3)
    whole.save(folder)
    chance, last, torn = random.Random(0), 0, 0
    for _ in range(times):

        def work(tell: Callable[[int], None]) -> None:
            trainer = load(folder)
            while True:
                trainer.step()
                trainer.save(folder)
                tell(trainer.step_count)

        heard = killed(work, chance)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

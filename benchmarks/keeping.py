"""What it costs a training to be kept in a folder.

python -m benchmarks.keeping [tiny-ioi|gpt2-small ...] [--seconds 40]

Says for each: what a checkpoint takes in the training's own thread and in the thread that writes,
its bytes, and the share of the training's time that the checkpoints of a run take as they come.
The last line compares blocks of steps with a checkpoint to as many without: how much longer a
training takes for one, and what share that is of the ten seconds between two.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import sp_widget as sp
from benchmarks.shapes import SHAPES, boot, dataloader
from sp_widget.runs.keeper import RunKeeper

TIMES, STEPS = 20, 4


def trainer_of(name: str) -> Any:
    config = sp.SubnetworkProbingConfig(epochs=1_000_000, seed=0, evaluate_every=None)
    if name == "tiny-ioi":
        task = sp.tasks.load(name)
        return sp.SubnetworkProbing(task.model, task.train_loader, config)
    model = sp.patchable_model(boot(SHAPES[name]))
    return sp.SubnetworkProbing(model, dataloader(SHAPES[name], n_batches=2), config)


class Timed(RunKeeper):
    """A keeper that measures what it takes of the training's thread."""

    seconds = 0.0
    own = 0.0
    processor = 0.0
    times = 0

    def after_step(self, *arguments: Any) -> None:
        before, began, own = self._writing, time.perf_counter(), time.thread_time()
        super().after_step(*arguments)
        self.seconds += time.perf_counter() - began
        self.own += time.thread_time() - own
        self.times += self._writing is not before

    def _write(self, *arguments: Any) -> None:
        super()._write(*arguments)
        self.processor += self._cost


def one_checkpoint(trainer: Any) -> None:
    own, writing, wall = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        keeper = Timed(Path(folder), seconds_between=0)
        keeper.take()
        for _ in range(TIMES):
            trainer.step()
            keeper._due, before, began = 0.0, keeper.own, time.perf_counter()
            keeper.after_step(trainer)
            assert keeper._writing is not None
            keeper._writing.join()
            wall.append(time.perf_counter() - began)
            own.append(keeper.own - before)
            writing.append(keeper._cost)
        keeper.let_go()
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
    medians = [1000 * statistics.median(each) for each in (own, writing, wall)]
    print(
        "  a checkpoint: {:.2f} ms of processor time in the training's thread, {:.2f} ms in the "
        "thread that writes, {:.1f} ms until it is on the disk; ".format(*medians)
        + f"{size / 1e6:.2f} MB"
    )


def a_run(trainer: Any, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        keeper = Timed(Path(folder))
        keeper.take()
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            trainer.step()
            keeper.after_step(trainer)
            steps += 1
        took = time.perf_counter() - began
        keeper.let_go()
    share = (keeper.seconds + keeper.processor) / took
    print(
        f"  {took:.0f} s, {steps:,} steps, {keeper.times} checkpoints: {100 * share:.3f}% of the "
        f"time, {100 * keeper.seconds / took:.3f}% in the training's thread"
    )


def compare(trainer: Any, seconds: float) -> None:
    times: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        keeper = RunKeeper(Path(folder))
        keeper.take()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            order = (True, False) if len(times[True]) % 2 else (False, True)
            for kept in order:
                began = time.perf_counter()
                keeper._due = 0.0 if kept else math.inf
                for _ in range(STEPS):
                    keeper.after_step(trainer)
                    trainer.step()
                times[kept].append(time.perf_counter() - began)
        keeper.let_go()
    kept, alone = (statistics.median(times[each]) for each in (True, False))
    print(
        f"  {len(times[True])} blocks of {STEPS} steps with a checkpoint each, as many without: "
        f"{1000 * (kept - alone):+.1f} ms, {10 * (kept - alone):+.2f}% of ten seconds"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("names", nargs="*", default=["tiny-ioi", "gpt2-small"])
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.names:
        trainer = trainer_of(name)
        trainer.step()
        print(f"{name}: {trainer.n_edges:,} edges")
        one_checkpoint(trainer)
        a_run(trainer, arguments.seconds)
        compare(trainer, arguments.seconds)


if __name__ == "__main__":
    main()

"""How much quicker two workers make a sweep than one.

python -m benchmarks.sweep --points 8 --steps 200

Each pool of spawned processes makes the same points of the task induction into a new folder, with
one thread a run, when all of its workers have the model. The load of the machine stands beside:
what else needs its cores counts as if the workers were slow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, wait
from functools import partial

import sp_widget as sp

TASK = "induction"


def seconds(n_workers: int, n_points: int, steps: int) -> float:
    """Return the wall time of a sweep by so many workers."""
    make = partial(sp.tasks.load, TASK)
    grid = {"seed": range(n_points), "steps": [steps], "evaluate_every": [None]}
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(n_workers, mp_context=spawn, initializer=make) as pool,
    ):
        # A worker is begun for each job that waits, and takes it when it has imported everything.
        wait([pool.submit(time.sleep, 1.0) for _ in range(n_workers)])
        began = time.perf_counter()
        sweep = sp.sweep(make, grid, folder, pool).wait()
        taken = time.perf_counter() - began
        assert all(each.finished for each in sweep.results), sweep
    return taken


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{chosen.points} points of {chosen.steps} steps, {os.cpu_count()} cores")
    print("load before   one worker   two workers   ratio")
    for _ in range(chosen.rounds):
        load = os.getloadavg()[0]
        one, two = (seconds(n, chosen.points, chosen.steps) for n in (1, 2))
        print(f"{load:11.1f} {one:10.1f} s {two:11.1f} s {two / one:7.2f}", flush=True)


if __name__ == "__main__":
    main()

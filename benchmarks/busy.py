"""Seconds of a step with the number of threads that a run finds itself, divided by those with the
best fixed number, on a quiet machine and while another process keeps one core busy.

    python -m benchmarks.busy                           # three models, idle and busy
    python -m benchmarks.busy --shape small --policy PASSIVE

Each model runs in a process of its own, in which torch's threads wait as `--policy` says; by
default as they do for somebody who sets nothing. Runs with every setting are made in turn, A B C
A B C ..., so that a machine whose speed drifts slows all. The trial of a run is told beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.shapes import SHAPES, boot, dataloader
from sp_widget import methods, tasks
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.session import Session

STEPS = {"tiny-ioi": 30, "small": 30, "gpt2-small": 4}
"""Steps of a run."""

GOAL = 1.15


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def trainers(shape: str) -> Callable[[], Any]:
    """Return what makes a trainer of a model of this shape."""
    method = methods.get("subnetwork_probing")
    config = method.Config(seed=0, steps=STEPS[shape])
    if shape == "tiny-ioi":
        task = tasks.load(shape)
        return lambda: method.trainer(task.model, task.train_loader, config)
    model, prompts = patchable_model(boot(SHAPES[shape])), dataloader(SHAPES[shape])
    return lambda: method.trainer(model, prompts, config)


def measure(shape: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Return, by setting, milliseconds of a step and of the first one, with all that comes before
    it (medians), and the numbers of threads that were used."""
    make = trainers(shape)
    settings: list[Any] = [*range(1, torch.get_num_threads() + 1), "auto"]
    steps: dict[Any, list[float]] = {setting: [] for setting in settings}
    first: dict[Any, list[float]] = {setting: [] for setting in settings}
    used: dict[Any, list[int | None]] = {setting: [] for setting in settings}
    for _ in range(rounds):
        sessions = {setting: Session(make, threads=setting) for setting in settings}
        for step in range(STEPS[shape]):
            for setting, session in sessions.items():
                seconds = made_step(session)
                if step == 0:
                    # Preparation, trial and the making of buffers.
                    first[setting].append(seconds)
                else:
                    steps[setting].append(session.history[-1].seconds)
        for setting, session in sessions.items():
            session.wait()
            used[setting].append(session.snapshot().threads)
    return {
        str(setting): {
            "step": 1000 * statistics.median(steps[setting]),
            "first": 1000 * statistics.median(first[setting]),
            "threads": used[setting],
        }
        for setting in settings
    }


def made_step(session: Session) -> float:
    """Make one step of a session, and return the seconds until it was done."""
    settled = threading.Event()
    done, started = session.snapshot().step, time.perf_counter()

    def look() -> None:
        snapshot = session.snapshot()
        if snapshot.step > done and snapshot.state != "running":
            settled.set()

    session.subscribe(look)
    session.step()
    settled.wait()
    return time.perf_counter() - started


def measure_in_process(shape: str, rounds: int, policy: str | None) -> dict[str, dict[str, Any]]:
    """Return what `measure` does, from a process in which threads wait by this policy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, "-m", "benchmarks.busy", "--measure", shape]
    done = subprocess.run(
        [*command, "--rounds", str(rounds)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    measured: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=STEPS, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="runs with each setting")
    parser.add_argument("--policy", choices=("ACTIVE", "PASSIVE"), help="default: not set")
    parser.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.rounds)))
        return

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; goal at most {GOAL}")
    for shape in arguments.shape or STEPS:
        for situation in ("idle", "busy"):
            with busy_core() if situation == "busy" else contextlib.nullcontext():
                measured = measure_in_process(shape, arguments.rounds, arguments.policy)
            auto = measured.pop("auto")
            fixed = {number: each["step"] for number, each in measured.items()}
            best = min(fixed, key=lambda number: fixed[number])
            told = ", ".join(f"{number}: {each:.1f}" for number, each in fixed.items())
            trial = auto["first"] - measured[best]["first"]
            print(
                f"{shape:10} {situation}  ms a step {told}, auto: {auto['step']:.1f} "
                f"{auto['threads']}  ratio {auto['step'] / fixed[best]:.2f}  "
                f"trial {trial:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()

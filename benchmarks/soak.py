"""Trainings one after another in one kernel, with the panel attached: what grows, what gets lost.

    python -m benchmarks.soak                   # two minutes
    python -m benchmarks.soak --minutes 60

A real kernel trains tiny-ioi at full speed, and this process receives what it publishes, as a
notebook's server would. A run ends, its last state must have arrived, it is reset, and of the
finished runs the newest three are kept. Threads, handles and memory are read between runs; the last
third of the runs is compared with the first third after the first tenth of the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from tests.widget.kernel import Kernel, update_of

KEPT_RUNS = 3

LEAST_RUNS = 6

MOST_MESSAGES = 40
"""Of the widget to the browser within any second."""

SETUP = """
import gc, json, threading, time
from dataclasses import replace
import psutil
import sp_widget as sp
from sp_widget.widget import publisher
publisher.PATIENCE = 0.1
# The kernel has sockets for each thread that publishes, and closes them some time after its end.
iopub = get_ipython().kernel.iopub_thread
iopub._event_pipe_gc_seconds = 0.1
process = psutil.Process()

def totals():
    # The threads of the last run are over soon.
    while any(
        thread.name.startswith("sp-widget") or not thread.is_alive()
        for thread in [*iopub._event_pipes, *threading.enumerate()]
    ):
        time.sleep(0.02)
    gc.collect()
    return {
        "threads": threading.active_count(),
        "handles": process.num_fds(),
        "memory": process.memory_info().rss,
    }
"""

TINY_IOI = """
task = sp.tasks.load("tiny-ioi")
probe = sp.SubnetworkProbingWidget(
    task.model,
    task.train_loader,
    task.test_loader,
    config=replace(task.config, epochs=4),
    threads=1,
)
"""

RUN = """
probe.start()
probe.wait()
probe.evaluation
print(json.dumps([probe.history[-1].step, probe.history[-1].loss]))
"""

RESET = f"""
probe.reset()
for run in probe.runs[:-{KEPT_RUNS}]:
    probe._runs.delete(run.number)
print(json.dumps(totals()))
"""


@dataclass(frozen=True)
class Soak:
    """What was seen."""

    runs: int
    steps: int
    lost_ends: int
    """Runs whose last state did not arrive."""
    messages_in_a_second: int
    """At most, as the kernel dates them."""
    threads: int
    """How many more there were at last, at least, than at first, at most; so are the handles."""
    handles: int
    memory: float
    """What it was multiplied by."""


def soak(seconds: float, make_probe: str = TINY_IOI) -> Soak:
    """Train for so long, and `LEAST_RUNS` at least, and return what was seen.

    `make_probe`: code that leaves a widget in the variable `probe`.
    """
    kernel = Kernel()
    try:
        kernel.run(SETUP)
        kernel.run(make_probe)
        panel = kernel.run("print(probe.panel.model_id)")
        totals: list[dict[str, int]] = []
        taken: list[float] = []
        dates: list[float] = []
        steps = lost = 0
        begin = time.monotonic()
        while time.monotonic() - begin < seconds or len(totals) < LEAST_RUNS:
            kernel.seen.clear()
            step, loss = json.loads(kernel.run(RUN))
            status: dict[str, Any] = {}
            for _, message in kernel.seen:
                status = update_of(message, panel).get("status", status)
                if message["msg_type"] == "comm_msg":
                    dates.append(message["header"]["date"].timestamp())
            steps += step
            lost += (status.get("state"), status.get("step"), status.get("loss")) != (
                "done",
                step,
                loss,
            )
            totals.append(json.loads(kernel.run(RESET)))
            taken.append(time.monotonic() - begin)
    finally:
        kernel.close()
    settled = [each for each, at in zip(totals, taken, strict=True) if at >= taken[-1] / 10]
    third = max(1, len(settled) // 3)

    first, last = settled[:third], settled[-third:]

    def more(what: str) -> int:
        # The kernel closes sockets a little later than the thread that needed them ends.
        return min(each[what] for each in last) - max(each[what] for each in first)

    def memory(totals: list[dict[str, int]]) -> float:
        return statistics.median(each["memory"] for each in totals)

    return Soak(
        runs=len(totals),
        steps=steps,
        lost_ends=lost,
        messages_in_a_second=_most_in_a_second(dates),
        threads=more("threads"),
        handles=more("handles"),
        memory=memory(last) / memory(first),
    )


def _most_in_a_second(dates: list[float]) -> int:
    most = first = 0
    for last, date in enumerate(dates):
        while dates[first] <= date - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--minutes", type=float, default=2.0)
    seen = soak(60 * parser.parse_args().minutes)
    print(
        f"{seen.runs} runs, {seen.steps:,} steps; last states lost: {seen.lost_ends}; at most "
        f"{seen.messages_in_a_second} messages in a second (bound {MOST_MESSAGES})"
    )
    print(
        f"since the first tenth: threads {seen.threads:+d}, handles {seen.handles:+d}, memory "
        f"{100 * (seen.memory - 1):+.2f}% (bound 2%)"
    )


if __name__ == "__main__":
    main()

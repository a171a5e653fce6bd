"""Wall time of training with the panel attached, divided by that without.

    python -m benchmarks.live                       # tiny-ioi and the GPT-2-small shape
    python -m benchmarks.live --only tiny-ioi --pairs 21

Both run in one real IPython kernel, whose messages a client receives as a notebook server
would; no browser draws them. The trainer steps for a while on the main thread, then a widget
trains for as long, resumed and paused again, and so on in turn, so that a machine whose speed
drifts slows both; the ratio is the median of the ratios of neighbours. The widget's run goes
on all the time: its chart soon holds as many points as it ever does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

CASES = ("tiny-ioi", "gpt2-small")
LIMIT = 1.05
ENDLESS = 10**6
"""Epochs: more than fit into the time."""


def measure(case: str, threads: int, pairs: int, seconds: float) -> dict[str, Any]:
    """Seconds per step `without` and `with` the panel, a list each. Runs in the kernel."""
    import torch

    import sp_widget as sp

    torch.set_num_threads(threads)
    model, loader, config = _case(case)
    config = replace(config, epochs=ENDLESS, seed=0)
    trainer = sp.SubnetworkProbing(model, loader, config)
    probe = sp.SubnetworkProbingWidget(model, loader, config=config)
    paused = threading.Event()
    probe._session.subscribe(lambda: paused.set() if probe.state == "paused" else None)
    trainer.step()
    probe.step()
    paused.wait()

    def without_panel() -> float:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            trainer.step()
            steps += 1
        return (time.perf_counter() - began) / steps

    def with_panel() -> float:
        before = len(probe.history)
        paused.clear()
        began = time.perf_counter()
        probe.resume()
        time.sleep(seconds)
        probe.pause()
        paused.wait()
        return (time.perf_counter() - began) / (len(probe.history) - before)

    without_panel(), with_panel()
    timed = [(without_panel(), with_panel()) for _ in range(pairs)]
    probe.stop()
    probe.wait()
    return {
        "without": [a for a, _ in timed],
        "with": [b for _, b in timed],
        "edges": model.n_edges,
        "points": len(probe.history),
    }


def _case(case: str) -> tuple[Any, Any, Any]:
    import sp_widget as sp

    if case in CASES[:1]:
        task = sp.tasks.load(case)
        return task.model, task.train_loader, task.config
    from benchmarks.shapes import SHAPES, boot, dataloader

    shape = SHAPES[case]
    return sp.patchable_model(boot(shape)), dataloader(shape), sp.SubnetworkProbingConfig()


def run_in_kernel(code: str) -> tuple[str, int]:
    """What `code` prints in a new kernel, and the number of widget messages that it sent."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(Path(__file__).resolve().parents[1]), env=dict(os.environ))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        request = client.execute(code)
        printed, messages = "", 0
        while True:
            message = client.get_iopub_msg(timeout=600)
            kind, content = message["msg_type"], message["content"]
            messages += kind == "comm_msg"
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if kind == "stream" and content["name"] == "stdout":
                printed += content["text"]
            if kind == "status" and content["execution_state"] == "idle":
                return printed, messages
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=CASES, help="one case instead of all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each half of a pair")
    arguments = parser.parse_args()

    print(
        f"{arguments.threads} threads, {arguments.pairs} pairs of 2 x {arguments.seconds} s, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began"
    )
    print(f"{'':12} {'edges':>7} {'steps':>7} {'without':>10} {'with':>10} {'ratio':>6}  quartiles")
    worst = 0.0
    for case in [arguments.only] if arguments.only else CASES:
        call = (case, arguments.threads, arguments.pairs, arguments.seconds)
        printed, messages = run_in_kernel(
            f"import json; from benchmarks.live import measure; print(json.dumps(measure(*{call})))"
        )
        result = json.loads(printed)
        without, with_panel = result["without"], result["with"]
        ratios = [b / a for a, b in zip(without, with_panel, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        worst = max(worst, ratio)
        print(
            f"{case:12} {result['edges']:>7,} {result['points']:>7,} "
            f"{1000 * statistics.median(without):>7.2f} ms "
            f"{1000 * statistics.median(with_panel):>7.2f} ms {ratio:>6.3f}  "
            f"{low:.3f} to {high:.3f}  ({messages:,} messages)"
        )
    print(f"limit {LIMIT}: {'kept' if worst <= LIMIT else 'exceeded'}")
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

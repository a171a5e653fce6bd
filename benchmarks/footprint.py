"""Seconds of a training step and peak memory of a process that does nothing but train.

    python -m benchmarks.footprint                          # GPT-2-small shape
    python -m benchmarks.footprint --recompute              # nodes run again in the backward pass
    python -m benchmarks.footprint --compare                # both of these, and what it costs
    python -m benchmarks.footprint --allocator              # with the heap kept, and without

The last two take turns, A B A B ..., in processes of their own; their ratio is in units of a
matrix product that each process times beside its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

KEPT_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""glibc then never gives memory back to the system, so that no page is faulted in twice."""


def measure(shape_json: str, threads: int, steps: int, recompute: bool) -> dict[str, float]:
    """Of this process: median seconds of a step after two to warm up, peak memory, edges.

    `relative`: a step divided by a product in buffers that are there before, right after it. A
    machine that changes its speed from one process to the next changes that of both.
    """
    import torch

    from benchmarks.shapes import Shape, boot, dataloader
    from benchmarks.step import peak_memory_gb, seconds
    from sp_widget.engine.patchable_model import patchable_model
    from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
    from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing

    torch.set_num_threads(threads)
    shape = Shape(**json.loads(shape_json))
    bridge = boot(shape)
    imported = peak_memory_gb()
    model = patchable_model(bridge)
    config = SubnetworkProbingConfig(epochs=steps + 2, seed=0, recompute=recompute)
    trainer = SubnetworkProbing(model, dataloader(shape), config)
    square = torch.rand(512, 512)
    out = torch.empty_like(square)

    def products() -> None:
        for _ in range(64):
            torch.mm(square, square, out=out)

    relative = []
    while not trainer.done:
        step = seconds(trainer.step)
        relative.append(step / seconds(products))
    return {
        "relative": statistics.median(relative[2:]),
        "edges": model.n_edges,
        "seconds": statistics.median(record.seconds for record in trainer.history[2:]),
        "peak_gb": peak_memory_gb(),
        "booted_gb": imported,
    }


def in_a_process(shape: Any, environment: dict[str, str] | None = None, **options: Any) -> Any:
    """`measure` in a new process."""
    from dataclasses import asdict

    arguments = json.dumps({"shape_json": json.dumps(asdict(shape)), **options})
    command = [sys.executable, "-m", "benchmarks.footprint", "--child", arguments]
    run = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    from benchmarks.shapes import SHAPES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gpt2-small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--allocator", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(**json.loads(arguments.child))))
        return

    shape = SHAPES[arguments.shape]
    common = {"threads": arguments.threads, "steps": arguments.steps}
    print(f"shape {arguments.shape}: {shape}, {arguments.threads} threads")
    if arguments.compare:
        ways: dict[str, dict[str, Any]] = {
            "kept": {"recompute": False},
            "recomputed": {"recompute": True},
        }
    elif arguments.allocator:
        ways = {
            "heap as it is": {"recompute": False},
            "heap kept": {"recompute": False, "environment": KEPT_HEAP},
        }
    else:
        ways = {"training": {"recompute": arguments.recompute}}
    runs: dict[str, list[Any]] = {name: [] for name in ways}
    for _ in range(arguments.pairs if len(ways) > 1 else 1):
        for name, options in ways.items():
            runs[name].append(in_a_process(shape, **common, **options))
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }
    for name, found in medians.items():
        print(f"{name:15} {found['seconds']:8.4f} s a step   {found['peak_gb']:6.2f} GB peak")
    if len(medians) == 2:
        first, second = medians.values()
        print(f"second ÷ first  {second['relative'] / first['relative']:8.3f}")


if __name__ == "__main__":
    main()

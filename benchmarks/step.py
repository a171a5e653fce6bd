"""Seconds of one training step, divided by seconds of a plain forward + backward pass of the
same bridge to its activations; and the peak memory of the process that did both.

    python -m benchmarks.step                      # GPT-2-small shape, two threads
    python -m benchmarks.step --shape small

The lower bound counts operations: a plain pass makes those of two forward passes (backward to
the activations costs as much as forward), a step makes six more for every edge, token and
dimension of the residual stream: two for what a destination reads, two for the mask's gradient,
two for the source's.

Steps and plain passes are timed in turn, A B A B ..., so that a machine whose speed drifts slows
both; the ratio is the median of the ratios of neighbours.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.shapes import SHAPES, Shape, boot, dataloader
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing


def plain_pass(bridge: Any, tokens: torch.Tensor) -> None:
    """Forward, then backward from the last position's logits to what enters block 0."""
    kept: dict[str, torch.Tensor] = {}

    def start_here(value: torch.Tensor, hook: Any) -> torch.Tensor:
        kept["embed"] = value.detach().requires_grad_()
        return kept["embed"]

    with bridge.hooks(fwd_hooks=[("blocks.0.hook_in", start_here)]):
        logits = bridge(tokens)
    torch.autograd.grad(logits[:, -1].logsumexp(-1).sum(), kept["embed"])


def lower_bound(bridge: Any, shape: Shape, tokens: torch.Tensor, n_edges: int) -> float:
    """Operations of a step ÷ operations of a plain forward + backward pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        bridge(tokens)
    return 1 + 6 * n_edges * tokens.numel() * shape.d_model / (2 * counter.get_total_flops())


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_memory_gb() -> float:
    """Of this process, in GB (10^9 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def timed_pairs(doc: str) -> argparse.Namespace:
    """The options of a benchmark that times pairs; its threads are set."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gpt2-small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15, help="timed pairs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def print_ratio(pairs: list[tuple[float, float]]) -> None:
    """Of the seconds of neighbours."""
    ratios = [one / other for one, other in pairs]
    print(
        f"ratio                {statistics.median(ratios):8.2f}   "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f})"
    )


def main() -> None:
    arguments = timed_pairs(__doc__)

    shape = SHAPES[arguments.shape]
    bridge = boot(shape)
    loader = dataloader(shape)
    tokens = next(iter(loader)).corrupt
    model = patchable_model(bridge)
    config = SubnetworkProbingConfig(epochs=arguments.runs + 2, seed=0)
    trainer = SubnetworkProbing(model, loader, config)
    for _ in range(2):
        trainer.step()
        plain_pass(bridge, tokens)

    pairs = [
        (seconds(trainer.step), seconds(lambda: plain_pass(bridge, tokens)))
        for _ in range(arguments.runs)
    ]
    print(f"shape {arguments.shape}: {shape}, {model.n_edges:,} edges")
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.runs} pairs")
    print(f"training step        {statistics.median(s for s, _ in pairs):8.4f} s (median)")
    print(f"plain fwd + bwd      {statistics.median(p for _, p in pairs):8.4f} s (median)")
    print_ratio(pairs)
    bound = lower_bound(bridge, shape, tokens, model.n_edges)
    print(f"lower bound          {bound:8.2f}   (operations)")
    print(f"peak memory          {peak_memory_gb():8.2f} GB")


if __name__ == "__main__":
    main()

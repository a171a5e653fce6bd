"""Does `torch.compile` pay? Steps whose attention is compiled, divided by steps as they are.

    python -m benchmarks.compiled

Attention between its projections (rotary, scores, mask, softmax) is what a compiler can fuse; the
rest of a step is matrix products, and autograd's own kernels for the MLPs. Needs a C++ compiler.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch

from benchmarks.shapes import SHAPES, boot, dataloader
from benchmarks.step import print_ratio, seconds, timed_pairs
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.models.nodes import Attention


def main() -> None:
    arguments = timed_pairs(__doc__)

    shape = SHAPES[arguments.shape]
    config = SubnetworkProbingConfig(epochs=2 * arguments.runs + 5, seed=0)
    trainer = SubnetworkProbing(patchable_model(boot(shape)), dataloader(shape), config)
    eager, compiled = Attention.mix, torch.compile(Attention.mix, dynamic=False)

    def step(mix: Any) -> float:
        Attention.mix = mix  # type: ignore[method-assign]
        return seconds(trainer.step)

    for _ in range(3):
        before = step(eager)
    compilation = step(compiled) + step(compiled) - 2 * before
    pairs = [(step(compiled), step(eager)) for _ in range(arguments.runs)]
    print(f"shape {arguments.shape}: {shape}")
    print(f"step                 {statistics.median(e for _, e in pairs):8.4f} s (median)")
    print(f"attention compiled   {statistics.median(c for c, _ in pairs):8.4f} s (median)")
    print_ratio(pairs)
    print(f"compilation          {compilation:8.1f} s")


if __name__ == "__main__":
    main()

"""Seconds that `run_circuits` and `evaluate` take for each circuit and batch, divided by seconds of
a plain forward pass of the same bridge.

    python -m benchmarks.circuits                  # 100 circuit sizes, GPT-2-small shape

Sizes are spread evenly on a logarithmic axis from 1 to all edges, as for a faithfulness curve.
The time includes all that is done once for a batch: its clean logits and patch activations. What
`evaluate` measures are KL, logit difference, answer probability and accuracy of the circuits and as
many complements.
"""

from __future__ import annotations

import argparse
import statistics

import torch

from benchmarks.shapes import SHAPES, boot, dataloader
from benchmarks.step import seconds
from sp_widget.circuits.run_circuits import run_circuits
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.evaluation.evaluate import FOR_ANSWERS, evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="gpt2-small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, default=100)
    parser.add_argument("--batches", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    shape = SHAPES[arguments.shape]
    bridge = boot(shape)
    loader = dataloader(shape, arguments.batches)
    tokens = next(iter(loader)).corrupt
    model = patchable_model(bridge)
    draw = torch.Generator().manual_seed(0)
    flat = torch.randn(model.n_edges, generator=draw)
    scores = PruneScores(model.graph.split(flat), model.graph)
    spread = torch.logspace(0, torch.tensor(model.n_edges).log10().item(), arguments.sizes)
    sizes = [min(round(size), model.n_edges) for size in spread.tolist()]

    def plain() -> float:
        with torch.no_grad():
            return statistics.median(seconds(lambda: bridge(tokens)) for _ in range(10))

    run_circuits(model, loader, sizes[:2], scores)
    before = plain()
    whole = seconds(lambda: run_circuits(model, loader, sizes, scores))
    between = plain()
    evaluations = []

    def evaluation() -> None:
        evaluations.append(
            evaluate(model, loader, scores, sizes, random=0, metrics=FOR_ANSWERS, progress=False)
        )

    whole_evaluation = seconds(evaluation)
    after = plain()
    different = len(set(sizes))  # Sizes that round to the same number are run once.
    each = whole / (different * len(loader))
    evaluated = len(evaluations[0].measured)
    each_evaluated = whole_evaluation / (evaluated * len(loader))
    print(f"shape {arguments.shape}: {shape}, {model.n_edges:,} edges")
    print(f"torch {torch.__version__}, {arguments.threads} threads")
    print(f"{different} circuits, {len(loader)} batches   {whole:8.2f} s")
    print(f"each circuit and batch    {each:8.4f} s")
    print(f"{evaluated} circuits evaluated       {whole_evaluation:8.2f} s")
    print(f"each circuit and batch    {each_evaluated:8.4f} s")
    medians = f"{before:.4f} s, {between:.4f} s, {after:.4f} s"
    print(f"plain forward pass        {medians} (medians before, between, after)")
    print(f"ratio of run_circuits     {each / statistics.mean((before, between)):8.2f}")
    print(f"ratio of evaluate         {each_evaluated / statistics.mean((between, after)):8.2f}")


if __name__ == "__main__":
    main()

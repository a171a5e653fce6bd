"""Seconds of ACDC: the reference, auto-circuit 1.0.1, and sp_widget.

    python -m benchmarks.peers.acdc

On the small GPT-2 of the tests (2 layers, 4 heads, a batch of 8 prompts) with the thresholds of the
recorded runs, one thread each, in turn. See README.md in this folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch

import sp_widget as sp
from benchmarks.peers.environment import ROOT, SCRIPT, reference_python, run
from tests import reference

THRESHOLDS = {"tao_exps": [-4, -3, -2], "tao_bases": [1, 5]}
BATCH = 8


def ours() -> dict[str, float]:
    """Seconds on the clock and of the processor."""
    model, loader = reference.model("comp"), reference.dataloader()
    began, processor = time.perf_counter(), time.process_time()
    sp.acdc_prune_scores(
        model, loader, None, **THRESHOLDS, faithfulness_target="kl_div", progress=False
    )
    return {"wall": time.perf_counter() - began, "processor": time.process_time() - processor}


def theirs(folder: Path, python: Path) -> dict[str, float]:
    """The same of the reference, without its imports and the making of its model."""
    settings = {
        "batch": BATCH,
        "acdc": {**THRESHOLDS, "faithfulness_target": "kl_div", "show_graphs": False},
    }
    spent: dict[str, float] = json.loads(
        run([python, SCRIPT, "acdc", folder, json.dumps(settings)]).splitlines()[-1]
    )
    return spent


def prepare(folder: Path, python: Path) -> None:
    """Weights and prompts as the reference's script reads them."""
    shutil.copytree(reference.FOLDER / "model", folder / "checkpoint")
    run([python, SCRIPT, "convert", folder])
    prompts = {
        f"{name}_prompts" if name in ("clean", "corrupt") else name: reference.array(name)
        for name in ("clean", "corrupt", "answers", "wrong_answers")
    }
    torch.save(prompts, folder / "prompts.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-peers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    python = reference_python(arguments.environment)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, python)
        # The first use of everything takes longer.
        ours()
        pairs = [(theirs(folder, python), ours()) for _ in range(arguments.rounds)]
    for what, title in (("processor", "of the processor"), ("wall", "on the clock")):
        reference_s, ours_s = (statistics.median(each[i][what] for each in pairs) for i in (0, 1))
        print(
            f"seconds {title}: auto-circuit {reference_s:.2f}, sp_widget {ours_s:.3f}, "
            f"{reference_s / ours_s:.1f} times"
        )


if __name__ == "__main__":
    main()

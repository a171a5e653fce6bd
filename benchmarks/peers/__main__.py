"""Seconds per training step and peak memory of the reference, auto-circuit 1.0.1, and of
sp_widget: the same weights, prompts and settings, each in a process of its own.

    python -m benchmarks.peers                    # GPT-2-small shape, two threads
    python -m benchmarks.peers --shape small --steps 4

See README.md in this folder. Prints a table and writes all figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.footprint import KEPT_HEAP
from benchmarks.peers.environment import ROOT, SCRIPT, reference_python, run
from benchmarks.shapes import SHAPES, Shape, dataloader

_AGREEMENT = 1e-3
"""How far scores may differ; trained in float32."""


@dataclass
class Peer:
    """One row of the table."""

    name: str
    title: str
    is_reference: bool = False
    einsum: bool = False
    kept_heap: bool = False
    seconds: list[float] = field(default_factory=list)
    """Of every timed step."""
    peak_bytes: list[int] = field(default_factory=list)
    """Of every process."""
    edges: int = 0

    @property
    def seconds_per_step(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak_gb(self) -> float:
        return max(self.peak_bytes) / 1e9


def peers() -> list[Peer]:
    return [
        Peer("stock", "auto-circuit 1.0.1", is_reference=True),
        Peer("tuned", "auto-circuit 1.0.1, tuned", is_reference=True, einsum=True, kept_heap=True),
        Peer("ours", "sp_widget"),
        Peer("ours-kept-heap", "sp_widget, kept heap", kept_heap=True),
    ]


def prepare(folder: Path, shape: Shape, batches: int, python: Path) -> None:
    """Weights in both forms, and prompts."""
    here, checkpoint = [sys.executable, "-m"], str(folder / "checkpoint")
    run([*here, "benchmarks.checkpoint", checkpoint, json.dumps(asdict(shape))])
    run([python, SCRIPT, "convert", folder])
    dataset = dataloader(shape, batches).dataset
    names = {"clean_prompts": "clean", "corrupt_prompts": "corrupt"}
    names |= {name: name for name in ("answers", "wrong_answers")}
    prompts = {
        name: torch.stack([getattr(pair, attribute) for pair in dataset])
        for name, attribute in names.items()
    }
    torch.save(prompts, folder / "prompts.pt")


def measure(peer: Peer, folder: Path, python: Path, settings: dict[str, Any]) -> None:
    """Train in a new process, and add its figures to the peer's."""
    command = [python, SCRIPT, "train"] if peer.is_reference else _OURS
    text = json.dumps({**settings, "name": peer.name, "einsum": peer.einsum})
    out = run([*command, folder, text], KEPT_HEAP if peer.kept_heap else {})
    found = json.loads(out.splitlines()[-1])
    stamps = found["stamps"]
    # The first step comes with the preparation, and the second still warms up.
    peer.seconds += [b - a for a, b in pairwise(stamps[1:])]
    peer.peak_bytes.append(found["peak_bytes"])
    peer.edges = found["edges"]


def scores(folder: Path, peer: Peer) -> torch.Tensor:
    """All prune scores of a peer's last training, in the order of the modules' names."""
    found = torch.load(folder / f"scores-{peer.name}.pt")
    return torch.cat([found[name].flatten() for name in sorted(found)])


_OURS = [sys.executable, "-m", "benchmarks.peers.ours"]


def table(rows: list[Peer]) -> str:
    ours = rows[2]
    lines = [
        "| system | seconds a step | ÷ sp_widget | peak memory, GB | sp_widget ÷ it |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.title} | {row.seconds_per_step:.4f} | "
        f"{row.seconds_per_step / ours.seconds_per_step:.2f} | {row.peak_gb:.2f} | "
        f"{ours.peak_gb / row.peak_gb:.0%} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    gpt2 = [name for name, shape in SHAPES.items() if shape.kind == "gpt2"]
    parser.add_argument("--shape", choices=gpt2, default="gpt2-small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8, help="steps of each training, at least 3")
    parser.add_argument("--rounds", type=int, default=1, help="trainings of each system, in turn")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-peers")
    parser.add_argument("--json", type=Path, default=ROOT / "test-artifacts" / "peers.json")
    arguments = parser.parse_args()
    if arguments.steps < 3:
        parser.error("--steps: at least 3, because the first two are not timed")

    shape = SHAPES[arguments.shape]
    settings = {
        "threads": arguments.threads,
        "batch": shape.batch,
        # Without noise, so that the scores can be compared; towards logits, since new weights
        # leave next to no gradient to the divergence of probabilities.
        "training": {
            "epochs": arguments.steps,
            "mask_fn": "sigmoid",
            "tree_optimisation": True,
            "faithfulness_target": "answer",
            "learning_rate": 0.1,
            "regularize_lambda": 0.01,
        },
    }
    python = reference_python(arguments.environment)
    rows = peers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, shape, batches=1, python=python)
        for _ in range(arguments.rounds):
            for peer in rows:
                print(f"training with {peer.title} ...", file=sys.stderr, flush=True)
                measure(peer, folder, python, settings)
        found = {row.name: scores(folder, row) for row in rows}

    print(f"shape {arguments.shape}: {shape}, {rows[2].edges:,} edges")
    timed = len(rows[2].seconds)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {timed} timed steps (median)\n")
    print(table(rows))
    ours = found["ours"]
    differences = {name: (theirs - ours).abs().max().item() for name, theirs in found.items()}
    print(
        f"\nprune scores after {arguments.steps} steps lie between {ours.min():.2f} and "
        f"{ours.max():.2f}; those of two systems differ by at most {max(differences.values()):.1e}"
    )
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "shape": asdict(shape),
        "torch": torch.__version__,
        **settings,
        "peers": [
            {**asdict(row), "score_difference_to_ours": differences[row.name]} for row in rows
        ],
    }
    arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"all figures: {arguments.json}")
    # `not all <=` rather than `any >`: NaN differs.
    if not all(value <= _AGREEMENT for value in differences.values()):
        sys.exit(f"the systems' scores differ by more than {_AGREEMENT}: they did other work")


if __name__ == "__main__":
    main()

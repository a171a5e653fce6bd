"""Seconds until a circuit is as good as what the reference, auto-circuit 1.0.1, finds.

    python -m benchmarks.time_to_circuit                       # about an hour
    python -m benchmarks.time_to_circuit --lambdas 1 --reference-steps 200
    python -m benchmarks.time_to_circuit --target 1.5          # ours alone, until this area

Both systems train on the bundled language model's task, "agreement": the same weights and the
same batches of prompts, one thread each, each in its own environment (see `peers/README.md`). The
reference trains 2,000 steps with each of three lambdas, as it is; the best of them sets the
target. It then trains with that lambda once more, with the two changes of the "tuned" row of
`benchmarks.peers`. Ours train with what a person gets who changes nothing.

What is compared is the log-KL area on held-out prompts (`benchmarks.methods.log_area`), of the
scores of both systems by the same code: clean prompts run, edges outside the circuit carry the
corrupt prompt's activation. The reference always trains with the mean over the corrupt prompts
instead, whatever its documentation says, so it runs the clean prompts too
(`tree_optimisation=True`): towards the corrupt prompts' mean, from corrupt prompts, there is no
clean behaviour to be found (`--reference-direction edge` shows it).

Seconds begin when the method is called with the model and the prompts and end after the step, with
all that the method prepares, without what is measured here in between. Those of the processor
decide, since other programs on the machine change them least; those on the clock are shown too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

import sp_widget as sp
from benchmarks.footprint import KEPT_HEAP
from benchmarks.methods import log_area
from benchmarks.peers.environment import ROOT, SCRIPT, reference_python, run
from sp_widget.tasks.assets import asset_folder

TASK = "agreement"
_SAME_MODEL = 1e-3
"""How far the two systems' logits may lie apart."""


@dataclass(frozen=True)
class Point:
    """How good a training's ranking was after a step, and what that had taken."""

    step: int
    area: float
    processor: float
    """Seconds of the processor since the method was called."""
    wall: float
    """Seconds on the clock."""


@dataclass(frozen=True)
class Training:
    """One training, with some points on its way; the last one is its end."""

    system: str
    setting: str
    points: tuple[Point, ...]

    @property
    def end(self) -> Point:
        return self.points[-1]

    def first_at(self, target: float) -> Point | None:
        """Return the first point whose area is at or below the target."""
        return next((point for point in self.points if point.area <= target), None)


def train_ours(
    task: Any, method_name: str, seed: int, every: int, steps: int | None = None
) -> Training:
    """Train with the default recipe, and measure the ranking every so many steps."""
    method = sp.methods.get(method_name)
    config = replace(method.first_config(task.train_loader), seed=seed, evaluate_every=None)
    if steps is not None:
        config = replace(config, steps=steps)
    points: list[Point] = []
    processor = wall = 0.0
    trainer = None
    while trainer is None or not trainer.done:
        processor_began, wall_began = time.process_time(), time.perf_counter()
        if trainer is None:
            trainer = method.trainer(task.model, task.train_loader, config)
        scores = trainer.run(progress=False, until_step=trainer.step_count + every)
        processor += time.process_time() - processor_began
        wall += time.perf_counter() - wall_began
        points.append(Point(trainer.step_count, log_area(task, scores), processor, wall))
    return Training("sp_widget", f"{method.title}, seed {seed}", tuple(points))


@dataclass(frozen=True)
class Reference:
    """auto-circuit 1.0.1 on the task's weights and prompts, in a folder of files."""

    task: Any
    folder: Path
    python: Path
    tree_optimisation: bool

    def prepare(self) -> None:
        """Write the weights and the prompts for it."""
        shutil.copytree(asset_folder(TASK) / "model", self.folder / "checkpoint")
        run([self.python, SCRIPT, "convert", self.folder])
        pairs = list(self.task.train_loader.dataset)
        names = {"clean_prompts": "clean", "corrupt_prompts": "corrupt"}
        names |= {name: name for name in ("answers", "wrong_answers")}
        prompts = {
            name: torch.stack([getattr(pair, attribute) for pair in pairs])
            for name, attribute in names.items()
        }
        torch.save(prompts, self.folder / "prompts.pt")

    def train(self, regularize_lambda: float, steps: int, every: int, tuned: bool) -> Training:
        """Train in a process of its own, and measure the scores that it kept."""
        loader = self.task.train_loader
        settings = {
            "name": "reference",
            "threads": 1,
            "batch": loader.batch_size,
            "einsum": tuned,
            "keep_every": every,
            "training": {
                "epochs": steps // len(loader),
                "regularize_lambda": regularize_lambda,
                "tree_optimisation": self.tree_optimisation,
            },
        }
        command = [self.python, SCRIPT, "train", self.folder, json.dumps(settings)]
        out = run(command, KEPT_HEAP if tuned else {})
        found = json.loads(out.splitlines()[-1])
        kept = torch.load(self.folder / "kept-reference.pt")
        self._check(kept, torch.load(self.folder / "scores-reference.pt"))
        points = tuple(
            Point(
                step=step,
                area=log_area(self.task, scores),
                processor=found["processor"][step - 1] - found["processor_began"],
                wall=found["stamps"][step - 1] - found["began"],
            )
            for step, scores in zip(range(every, steps + 1, every), kept["scores"], strict=True)
        )
        system = "auto-circuit 1.0.1, tuned" if tuned else "auto-circuit 1.0.1"
        return Training(system, f"lambda {regularize_lambda:g}", points)

    def _check(self, kept: dict[str, Any], returned: sp.PruneScores) -> None:
        """Raise `RuntimeError` if it ran another model, or its last scores were not kept."""
        model = self.task.model
        logits = model(next(iter(self.task.train_loader)).clean)[model.out_slice]
        difference = (logits - kept["logits"]).abs().max().item()
        if not difference <= _SAME_MODEL:
            raise RuntimeError(f"the systems' logits differ by {difference}")
        if not all(torch.equal(returned[name], kept["scores"][-1][name]) for name in returned):
            raise RuntimeError("the scores that were kept last are not those that it returned")


def reference_target(
    reference: Reference, lambdas: Sequence[float], steps: int, every: int
) -> list[Training]:
    """Return the stock reference's trainings, the best lambda first, and its tuned one last."""
    stock = []
    for value in lambdas:
        _say(f"training auto-circuit with lambda {value:g} ...")
        stock.append((reference.train(value, steps, every, tuned=False), value))
    stock.sort(key=lambda pair: pair[0].end.area)
    _say("training auto-circuit, tuned ...")
    tuned = reference.train(stock[0][1], steps, every, tuned=True)
    return [*(training for training, _ in stock), tuned]


def trainings_table(trainings: Sequence[Training]) -> str:
    """Return what each training reached in the end, as Markdown."""
    lines = [
        "| system | setting | steps | log-KL area | lowest, at step | processor, s | clock, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in trainings:
        end, lowest = each.end, min(each.points, key=lambda point: point.area)
        lines.append(
            f"| {each.system} | {each.setting} | {end.step} | {end.area:.3f} "
            f"| {lowest.area:.3f}, {lowest.step} | {end.processor:.1f} | {end.wall:.1f} |"
        )
    return "\n".join(lines)


def target_table(trainings: Sequence[Training], against: Sequence[Training], target: float) -> str:
    """Return when each training was at the target first, and the share of the time that each of
    `against` takes for all of its steps.
    """
    lines = [
        "| system | setting | step | processor, s | clock, s |"
        + "".join(f" {each.system} ÷ it |" for each in against),
        "|---" * (5 + len(against)) + "|",
    ]
    for each in trainings:
        point = each.first_at(target)
        row = f"| {each.system} | {each.setting} |"
        if point is None:
            lines.append(f"{row} never | – | – |" + " – |" * len(against))
            continue
        ratios = "".join(f" {one.end.processor / point.processor:.1f} |" for one in against)
        lines.append(f"{row} {point.step} | {point.processor:.2f} | {point.wall:.2f} |{ratios}")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Train both, and print what each reached and when."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lambdas", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--reference-steps", type=int, default=2000)
    parser.add_argument("--reference-every", type=int, default=100)
    parser.add_argument("--reference-direction", choices=["tree", "edge"], default="tree")
    parser.add_argument("--methods", nargs="+", default=["subnetwork_probing", "learned_ranking"])
    parser.add_argument("--every", type=int, default=20, help="steps of ours between measurements")
    parser.add_argument("--seeds", type=int, default=1, help="of ours")
    parser.add_argument("--target", type=float, help="an area; the reference is not trained")
    parser.add_argument(
        "--smoke", action="store_true", help="a few steps of ours, until better than chance"
    )
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-peers")
    parser.add_argument("--json", type=Path, default=ROOT / "test-artifacts/time_to_circuit.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    task = sp.tasks.load(TASK)
    n_batches = len(task.train_loader)
    if chosen.reference_steps % n_batches or chosen.reference_steps % chosen.reference_every:
        parser.error(f"--reference-steps: a multiple of {n_batches} batches and of what is kept")

    steps, target, theirs = None, chosen.target, []
    if chosen.smoke:
        few = Subset(task.test_loader.dataset, range(task.test_loader.batch_size))
        task = replace(task, test_loader=sp.PromptDataLoader(few, batch_size=len(few)))
        chosen.every, steps = 4, 8
        target = log_area(task, sp.random_prune_scores(task.model, task.train_loader, seed=0))
    if target is None:
        with tempfile.TemporaryDirectory() as name:
            reference = Reference(
                task,
                Path(name),
                reference_python(chosen.environment),
                tree_optimisation=chosen.reference_direction == "tree",
            )
            reference.prepare()
            theirs = reference_target(
                reference, chosen.lambdas, chosen.reference_steps, chosen.reference_every
            )
        target = theirs[0].end.area
    ours = []
    for seed in range(chosen.seeds):
        for method in chosen.methods:
            _say(f"training {method}, seed {seed} ...")
            ours.append(train_ours(task, method, seed, chosen.every, steps))

    everything = [*theirs, *ours]
    print(
        f"{task!r}\ntorch {torch.__version__}, 1 thread, batches of {task.train_loader.batch_size}"
    )
    print(f"\n{trainings_table(everything)}\n")
    print(f"target: a log-KL area of {target:.4f}\n")
    best_of_each = [theirs[0], theirs[-1]] if theirs else []
    print(target_table([*best_of_each, *ours], best_of_each, target))
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    figures = {"target": target, "trainings": [asdict(each) for each in everything]}
    chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

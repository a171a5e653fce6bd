"""Seconds until a circuit is as good as what the reference, auto-circuit 1.0.1, finds.

    python -m benchmarks.time_to_circuit                    # half an hour of one processor
    python -m benchmarks.time_to_circuit --stock-steps 104  # the tuned one trains instead
    python -m benchmarks.time_to_circuit --target 1.5       # ours alone, until this area

Both systems train on the bundled language model's task, "agreement": the same weights and the
same batches of prompts, one thread each, each in its own environment (see `peers/README.md`). The
reference trains 2,000 steps with each of three lambdas, as it is; the best of them sets the
target. It then trains with that lambda once more, with the two changes of the "tuned" row of
`benchmarks.peers`. These make it quicker and change nothing but the rounding, so that with fewer
`--stock-steps` the tuned one tries the lambdas, and the stock one's seconds for all steps are
extrapolated; the output says so. Ours train with what a person gets who changes nothing.

What is compared is the log-KL area on the test prompts (`Evaluation.log_kl`), of the
scores of both systems by the same code: clean prompts run, edges outside the circuit carry the
corrupt prompt's activation. The reference always trains with the mean over the corrupt prompts
instead, whatever its documentation says, so it runs the clean prompts too
(`tree_optimisation=True`): towards the corrupt prompts' mean, from corrupt prompts, there is no
clean behaviour to be found (`--reference-direction edge` shows it).

Trainings are lines of the file `--out`; what stands there already is not trained again.

Seconds begin when the method is called with the model and the prompts and end after the step, with
all that the method prepares, without what is measured here in between. Those of the processor
decide, since other programs on the machine change them least; those on the clock are shown too.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

import sp_widget as sp
from benchmarks.footprint import KEPT_HEAP
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


def log_area(task: Any, scores: sp.PruneScores) -> float:
    """Return the mean over ln k of what the top k edges lose on the task's test prompts."""
    return sp.evaluate(
        task.model,
        task.test_loader,
        scores,
        complement=False,
        random=0,
        metrics=["kl_div"],
        progress=False,
    ).log_kl


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

    def processor_for(self, steps: int) -> float:
        """Return the seconds that so many steps take: those measured, or at the same speed on."""
        first, end = self.points[0], self.end
        if end.step >= steps:
            return next(point.processor for point in self.points if point.step >= steps)
        a_step = (end.processor - first.processor) / (end.step - first.step)
        return end.processor + (steps - end.step) * a_step


class Trainings:
    """The trainings that a file holds, a line each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        self._done = {
            (row["system"], row["setting"], row["points"][-1]["step"]): Training(
                row["system"], row["setting"], tuple(Point(**point) for point in row["points"])
            )
            for row in rows
        }

    def get(
        self, system: str, setting: str, steps: int, train: Callable[[], tuple[Point, ...]]
    ) -> Training:
        """Return the training of this name from the file, or train and write it there."""
        key = (system, setting, steps)
        if key not in self._done:
            print(f"training {system}, {setting}, {steps} steps ...", file=sys.stderr, flush=True)
            self._done[key] = Training(system, setting, train())
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(self._done[key])) + "\n")
        return self._done[key]


def train_ours(task: Any, method: Any, config: Any, every: int) -> tuple[Point, ...]:
    """Train, and measure the ranking every so many steps."""
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
    return tuple(points)


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

    def train(
        self, regularize_lambda: float, steps: int, every: int, tuned: bool
    ) -> tuple[Point, ...]:
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
        return tuple(
            Point(
                step=step,
                area=log_area(self.task, scores),
                processor=found["processor"][step - 1] - found["processor_began"],
                wall=found["stamps"][step - 1] - found["began"],
            )
            for step, scores in zip(range(every, steps + 1, every), kept["scores"], strict=True)
        )

    def _check(self, kept: dict[str, Any], returned: sp.PruneScores) -> None:
        """Raise `RuntimeError` if it ran another model, or its last scores were not kept."""
        model = self.task.model
        logits = model(next(iter(self.task.train_loader)).clean)[model.out_slice]
        difference = (logits - kept["logits"]).abs().max().item()
        if not difference <= _SAME_MODEL:
            raise RuntimeError(f"the systems' logits differ by {difference}")
        if not all(torch.equal(returned[name], kept["scores"][-1][name]) for name in returned):
            raise RuntimeError("the scores that were kept last are not those that it returned")


def reference_trainings(
    reference: Reference, done: Trainings, chosen: argparse.Namespace
) -> tuple[list[Training], Training, Training]:
    """Return a training for each lambda, and of the best lambda the stock and the tuned one."""
    all_steps, stock_steps = chosen.reference_steps, chosen.stock_steps
    direction = "" if reference.tree_optimisation else ", corrupt prompts run"

    def train(value: float, tuned: bool, steps: int) -> Training:
        system = f"auto-circuit 1.0.1{', tuned' if tuned else ''}"
        every = math.gcd(chosen.reference_every, steps)
        return done.get(
            system,
            f"lambda {value:g}{direction}",
            steps,
            lambda: reference.train(value, steps, every, tuned),
        )

    tuned_tries = stock_steps < all_steps
    tried = {value: train(value, tuned_tries, all_steps) for value in chosen.lambdas}
    best = min(tried, key=lambda value: tried[value].end.area)
    stock = train(best, tuned=False, steps=stock_steps)
    return list(tried.values()), stock, train(best, tuned=True, steps=all_steps)


def table(
    trainings: Sequence[Training], target: float, yardsticks: Sequence[tuple[str, float]]
) -> str:
    """Return as Markdown what each training reached, and when it was at the target first.

    `yardsticks`: a name and the seconds of the processor that are divided by those of the target.
    """
    lines = [
        "| system | setting | steps | log-KL area | processor, s | clock, s "
        "| target at step | processor, s | clock, s |"
        + "".join(f" {name} ÷ it |" for name, _ in yardsticks),
        "|---" * (9 + len(yardsticks)) + "|",
    ]
    for each in trainings:
        end, first = each.end, each.first_at(target)
        row = (
            f"| {each.system} | {each.setting} | {end.step} | {end.area:.3f} "
            f"| {end.processor:.1f} | {end.wall:.1f} "
        )
        if first is None:
            lines.append(row + "| never | – | – |" + " – |" * len(yardsticks))
        else:
            row += f"| {first.step} | {first.processor:.2f} | {first.wall:.2f} |"
            ratios = [f" {seconds / first.processor:.1f} |" for _, seconds in yardsticks]
            lines.append(row + "".join(ratios))
    return "\n".join(lines)


def main() -> None:
    """Train both, and print what each reached and when."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lambdas", type=float, nargs="+", default=[1.0, 3.0, 10.0])
    parser.add_argument("--reference-steps", type=int, default=2000)
    parser.add_argument("--stock-steps", type=int, help="of the reference as it is; default: all")
    parser.add_argument("--reference-every", type=int, default=100)
    parser.add_argument("--reference-direction", choices=["tree", "edge"], default="tree")
    parser.add_argument("--methods", nargs="+", default=["subnetwork_probing", "learned_ranking"])
    parser.add_argument("--every", type=int, default=20, help="steps of ours between measurements")
    parser.add_argument("--seeds", type=int, default=1, help="of ours")
    parser.add_argument("--target", type=float, help="an area; the reference is not trained")
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-peers")
    parser.add_argument("--out", type=Path, default=ROOT / "test-artifacts/time_to_circuit.jsonl")
    parser.add_argument(
        "--smoke", action="store_true", help="eight steps of ours, until better than chance"
    )
    chosen = parser.parse_args()
    chosen.stock_steps = chosen.stock_steps or chosen.reference_steps
    torch.set_num_threads(1)
    task = sp.tasks.load(TASK)
    n_batches = len(task.train_loader)
    if chosen.reference_steps % n_batches or chosen.stock_steps % n_batches:
        parser.error(f"steps of the reference: whole epochs, {n_batches} batches each")

    target, steps = chosen.target, None
    if chosen.smoke:
        few = Subset(task.test_loader.dataset, range(task.test_loader.batch_size))
        task = replace(task, test_loader=sp.PromptDataLoader(few))
        chosen.every, steps = 4, 8
        target = log_area(task, sp.random_prune_scores(task.model, task.train_loader, seed=0))

    done, theirs, yardsticks, notes = Trainings(chosen.out), [], [], []
    if target is None:
        all_steps = chosen.reference_steps
        with tempfile.TemporaryDirectory() as name:
            python = reference_python(chosen.environment)
            tree_optimisation = chosen.reference_direction == "tree"
            reference = Reference(task, Path(name), python, tree_optimisation)
            reference.prepare()
            theirs, stock, tuned = reference_trainings(reference, done, chosen)
        target = min(each.end.area for each in theirs)
        theirs += [each for each in (stock, tuned) if each not in theirs]
        for title, each in (("stock", stock), ("tuned", tuned)):
            seconds = each.processor_for(all_steps)
            yardsticks.append((title, seconds))
            how = "" if each.end.step == all_steps else f" (extrapolated from {each.end.step})"
            notes.append(f"{title}: {all_steps} steps take the processor {seconds:.1f} s{how}")

    ours = []
    for seed in range(chosen.seeds):
        for method in map(sp.methods.get, chosen.methods):
            config = replace(
                method.first_config(task.model, task.train_loader), seed=seed, evaluate_every=None
            )
            config = config if steps is None else replace(config, steps=steps)
            train = partial(train_ours, task, method, config, chosen.every)
            ours.append(done.get("sp_widget", f"{method.title}, seed {seed}", config.steps, train))

    batch = task.train_loader.batch_size
    print(f"{task!r}\ntorch {torch.__version__}, 1 thread, batches of {batch}")
    print("\n".join([f"target: a log-KL area of {target:.4f}", *notes]))
    print(f"\n{table([*theirs, *ours], target, yardsticks)}")


if __name__ == "__main__":
    main()

"""All methods on all bundled tasks: log area, acc-AUC, CMD, AUROC of known edges, and seconds.

python -m benchmarks.methods --folder results

Each task is a sweep in a folder of its own (see docs/sweeps.md), with a point for every method and
seed: interrupted or killed, the same command goes on from the checkpoint of every run, and skips
what is done. Methods that draw nothing have one seed. Then the table is printed as Markdown, from
what stands in the folders. `--smoke`: one small task, two methods, a few steps.

All runs of all tasks are made by one process, this one, or by `--workers` beside it, so that
nothing is imported again for a run.

A method has the settings that the panel begins with, and the task's faithfulness target. The area
is the mean over ln k, from one edge to all, of what circuits of the top k edges lose on the task's
test prompts (clean prompts run, all other edges ablated by resampling): KL(model || circuit), or
the mean squared error where the task is a regression. acc-AUC and CMD (see docs/evaluation.md) need
answers that are tokens, and AUROC known edges. Seconds are those of the processor that the steps
took, one thread, without preparation and without validation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sp_widget as sp
from sp_widget.methods.parameter import parameters
from sp_widget.runs.point_result import PointResult

LEFT_OUT = ("ground_truth",)
DRAW_NOTHING = ("mask_gradient", "eap_ig", "acdc", "activation_magnitude", "weight_magnitude")
"""Methods that give the same with every seed: one run is enough."""

Rows = dict[tuple[str, str], list[PointResult]]
"""The runs that are done, by task and method."""


def points(
    task_name: str, methods: Sequence[str], n_seeds: int, smoke: bool
) -> Iterator[dict[str, Any]]:
    """Yield the points of a task's sweep: all methods with the first seed, and so on."""
    target = sp.tasks.load(task_name).config.faithfulness_target
    for seed in range(n_seeds):
        for name in methods:
            if seed > 0 and name in DRAW_NOTHING:
                continue
            point = {"method": name, "seed": seed, "faithfulness_target": target}
            settings = parameters(sp.methods.get(name).Config)
            if target == "mse" and "answer_function" in settings:
                point["answer_function"] = "mse"
            if smoke and "steps" in settings:
                point["steps"] = 4
            yield point


def workers(number: int) -> Executor:
    """Return what makes the runs: this process, or several others that last as long as it."""
    if number == 1:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn"))


def numbers(results: Sequence[PointResult], name: str) -> list[float]:
    """Return a number of all results that have it."""
    return [value for each in results if (value := getattr(each, name)) is not None]


def median(results: Sequence[PointResult], name: str) -> str:
    """Return the median over seeds in print, and a dash where the task has no such number."""
    values = numbers(results, name)
    return f"{statistics.median(values):.3f}" if values else "–"


def median_area(results: Sequence[PointResult]) -> float:
    """Return the median of the log area over seeds."""
    return statistics.median(numbers(results, "log_area"))


def table(rows: Rows) -> str:
    """Return the medians over seeds as Markdown, with the lowest and highest area."""
    lines = [
        "| task | method | seeds | steps | log area | acc-AUC | CMD | AUROC | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (task, method), found in rows.items():
        areas = numbers(found, "log_area")
        spread = f" ({min(areas):.3f}–{max(areas):.3f})" if len(areas) > 1 else ""
        seconds = statistics.median(numbers(found, "processor_seconds"))
        lines.append(
            f"| {task} | {sp.methods.get(method).title} | {len(found)} | {found[0].n_steps} "
            f"| {median(found, 'log_area')}{spread} | {median(found, 'acc_auc')} "
            f"| {median(found, 'cmd')} | {median(found, 'auroc')} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def read(folder: Path, tasks: Sequence[str], methods: Sequence[str]) -> tuple[Rows, list[str]]:
    """Return the runs that are done, in each task the method of lowest area first; and in words
    those that are not.
    """
    rows: Rows = {}
    missing = []
    for task in tasks:
        if not (folder / task).is_dir():
            missing.append(f"{task}: not begun")
            continue
        by_method: dict[str, list[PointResult]] = defaultdict(list)
        for each in sp.Sweep(folder / task).results:
            method = each.point.method
            if method not in methods:
                continue
            if each.finished:
                by_method[method].append(each)
            else:
                seed = each.point.fields["seed"]
                missing.append(f"{task}, {method}, seed {seed}: {each.state} {each.error}".strip())
        for method, found in sorted(by_method.items(), key=lambda each: median_area(each[1])):
            rows[task, method] = found
    return rows, missing


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("results"))
    parser.add_argument("--tasks", nargs="*", default=list(sp.tasks.names()))
    parser.add_argument(
        "--methods", nargs="*", default=[n for n in sp.methods.names() if n not in LEFT_OUT]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="processes (1: this one)")
    parser.add_argument("--only-table", action="store_true", help="print what there is so far")
    parser.add_argument("--smoke", action="store_true")
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.folder /= "smoke"
        chosen.tasks, chosen.seeds = ["induction"], 1
        chosen.methods = ["learned_ranking", "mask_gradient"]

    if not chosen.only_table:
        with workers(chosen.workers) as executor:
            for task in chosen.tasks:
                grid = list(points(task, chosen.methods, chosen.seeds, chosen.smoke))
                make = partial(sp.tasks.load, task)
                sweep = sp.sweep(make, grid, chosen.folder / task, executor, validate=False)
                print(f"{task}: {len(grid)} runs in {sweep.path}", file=sys.stderr, flush=True)
                sweep.wait()
    rows, missing = read(chosen.folder, chosen.tasks, chosen.methods)
    print(table(rows))
    if missing:
        sys.exit("Not in the table:\n" + "\n".join(missing))


if __name__ == "__main__":
    main()

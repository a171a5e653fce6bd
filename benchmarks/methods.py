"""All methods on all bundled tasks: log area, acc-AUC, CMD, AUROC of known edges, and seconds.

python -m benchmarks.methods --seeds 5 --out results.jsonl

Each task, method and seed is a line of the file; what stands there already is not run again. Then
the table is printed as Markdown. `--smoke`: one small task, two methods, a few steps.

The area is the mean over ln k, from one edge to all, of what circuits of the top k edges lose on
held-out prompts (clean prompts run, all other edges ablated by resampling): KL(model || circuit),
or the mean squared error where the task is a regression. acc-AUC and CMD (see docs/evaluation.md)
need wrong answers, and are left out where the task has none. Seconds are those of the processor
that the training took, one thread, without preparation of the data.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import sp_widget as sp

LEFT_OUT = ("ground_truth",)
DRAW_NOTHING = ("mask_gradient", "eap_ig", "acdc", "activation_magnitude", "weight_magnitude")
"""Methods that give the same with every seed: one run is enough."""


def areas(task: Any, scores: sp.PruneScores) -> dict[str, float | None]:
    """Return the areas of the curve of the top k edges on the task's test prompts."""
    regression = task.config.faithfulness_target == "mse"
    metric = "mse" if regression else "kl_div"
    batches = list(task.test_loader)
    contrast = not regression and all(batch.wrong_answers.shape[-1] > 0 for batch in batches)
    found = sp.evaluate(
        task.model,
        task.test_loader,
        scores,
        complement=False,
        random=0,
        metrics=[metric, "logit_diff", "positive_logit_diff"] if contrast else [metric],
        progress=False,
    )
    return {
        "area": found.log_area(metric),
        "acc_auc": found.acc_auc if contrast else None,
        "cmd": found.cmd if contrast else None,
    }


def log_area(task: Any, scores: sp.PruneScores) -> float:
    """Return the mean over ln k of what the top k edges lose on the task's test prompts."""
    area = areas(task, scores)["area"]
    assert area is not None
    return area


def measure(task_name: str, method_name: str, seed: int, smoke: bool) -> dict[str, Any]:
    """Return what one run of a method gives."""
    task = sp.tasks.load(task_name)
    method = sp.methods.get(method_name)
    config = replace(
        method.first_config(task.model, task.train_loader),
        seed=seed,
        evaluate_every=None,
        faithfulness_target=task.config.faithfulness_target,
    )
    if smoke and hasattr(config, "steps"):
        config = replace(config, steps=4)
    if hasattr(config, "answer_function") and task.config.faithfulness_target == "mse":
        config = replace(config, answer_function="mse")
    trainer = method.trainer(task.model, task.train_loader, config)
    for _ in trainer.preparation():
        pass
    began = time.process_time()
    scores = trainer.run(progress=False)
    seconds = time.process_time() - began
    known = task.official_edges
    return {
        "task": task_name,
        "method": method_name,
        "seed": seed,
        "steps": trainer.n_steps,
        "seconds": seconds,
        **areas(task, scores),
        "auroc": None if known is None else sp.auroc(task.model, scores, known),
        "edges": trainer.hard_edge_count,
    }


def median(rows: Sequence[dict[str, Any]], name: str) -> str:
    """Return the median over seeds in print, and a dash where the task has no such number."""
    values = [row[name] for row in rows if row[name] is not None]
    return f"{statistics.median(values):.3f}" if values else "–"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the medians over seeds as Markdown, with the lowest and highest area."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["task"], row["method"]].append(row)
    lines = [
        "| task | method | seeds | steps | log area | acc-AUC | CMD | AUROC | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (task, method), found in groups.items():
        values = [row["area"] for row in found]
        spread = f" ({min(values):.3f}–{max(values):.3f})" if len(found) > 1 else ""
        lines.append(
            f"| {task} | {sp.methods.get(method).title} | {len(found)} | {found[0]['steps']} "
            f"| {statistics.median(values):.3f}{spread} | {median(found, 'acc_auc')} "
            f"| {median(found, 'cmd')} | {median(found, 'auroc')} "
            f"| {statistics.median(row['seconds'] for row in found):.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", nargs="*", default=list(sp.tasks.names()))
    parser.add_argument(
        "--methods", nargs="*", default=[n for n in sp.methods.names() if n not in LEFT_OUT]
    )
    parser.add_argument("--out", type=Path, default=Path("results.jsonl"))
    parser.add_argument("--smoke", action="store_true")
    chosen = parser.parse_args()
    if chosen.smoke:
        chosen.tasks, chosen.seeds = ["induction"], 1
        chosen.methods = ["learned_ranking", "mask_gradient"]
    torch.set_num_threads(1)

    rows = []
    if chosen.out.exists():
        rows = [json.loads(line) for line in chosen.out.read_text().splitlines()]
    done = {(row["task"], row["method"], row["seed"]) for row in rows}
    for seed in range(chosen.seeds):
        for task in chosen.tasks:
            for method in chosen.methods:
                if (task, method, seed) in done or (seed > 0 and method in DRAW_NOTHING):
                    continue
                row = measure(task, method, seed, chosen.smoke)
                rows.append(row)
                with chosen.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    wanted = [
        row for row in rows if row["task"] in chosen.tasks and row["method"] in chosen.methods
    ]
    order = {task: place for place, task in enumerate(chosen.tasks)}
    print(table(sorted(wanted, key=lambda row: (order[row["task"]], row["area"]))))


if __name__ == "__main__":
    main()

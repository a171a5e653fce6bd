"""The benchmarks run, small, on any machine; that for a GPU too, without one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

import sp_widget as sp
from benchmarks.time_to_circuit import Point, Training

Benchmark = Callable[..., str]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Benchmark:
    """Runs `python -m benchmarks.NAME ARGUMENTS`, in this process, and returns what it printed."""

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        import_module(f"benchmarks.{name}").main()
        return capsys.readouterr().out

    return run


def test_the_gpu_benchmark_runs_small_on_the_cpu(benchmark: Benchmark) -> None:
    printed = benchmark("gpu", "--shape", "llama-8b", "--device", "cpu", "--tiny", "--runs", "1")
    assert "device cpu" in printed
    assert "bfloat16" in printed
    assert re.search(r"ratio +\d+\.\d\d", printed)
    assert re.search(r"a step within run\(\) +\d+\.\d+ s", printed)
    assert re.search(r"loss +\d+\.\d+ at step 1, \d+\.\d+ at step 5", printed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_at_once(benchmark: Benchmark) -> None:
    with pytest.raises(SystemExit, match="no CUDA device"):
        benchmark("gpu")


def test_the_comparison_of_methods_runs_small_and_goes_on_where_it_stopped(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    first = benchmark("methods", "--smoke", "--folder", str(tmp_path))
    rows = [line for line in first.splitlines() if line.startswith("| induction")]
    assert len(rows) == 2
    assert all(re.search(r"(\| \d+\.\d{3} ){4}\| \d+\.\d \|$", row) for row in rows)

    sweep = sp.Sweep(tmp_path / "smoke" / "induction")
    # The test prompts only measure.
    for run in sweep.runs:
        assert run.config["fingerprints"]["validation_dataloader"] == "none"
    task = sp.tasks.load("induction")
    other, found = sorted(sweep.results, key=lambda each: each.point.method)
    (scores,) = sweep.prune_scores(task.model, method="mask_gradient")
    evaluation = sp.evaluate(
        task.model, task.test_loader, scores, complement=False, random=0, progress=False
    )
    auroc = sp.auroc(task.model, scores, task.official_edges or ())
    expected = (evaluation.acc_auc, evaluation.cmd, auroc)
    assert (found.acc_auc, found.cmd, found.auroc) == pytest.approx(expected)
    printed = " | ".join(f"{value:.3f}" for value in (found.log_area, *expected))
    assert f"| {printed} | {found.processor_seconds:.1f} |" in first

    # Killed, as it were, before it was measured: that is made up for, and the other not touched.
    (sweep.path / found.name / "evaluation.json").unlink()
    untouched = sweep.path / other.name
    before = {path: path.stat().st_mtime_ns for path in untouched.iterdir()}
    with pytest.raises(SystemExit, match="mask_gradient, seed 0: done"):
        benchmark("methods", "--smoke", "--only-table", "--folder", str(tmp_path))
    assert benchmark("methods", "--smoke", "--folder", str(tmp_path)).endswith(first)
    assert {path: path.stat().st_mtime_ns for path in untouched.iterdir()} == before


def test_the_time_to_a_circuit_runs_small_and_does_not_train_twice(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    out = tmp_path / "trainings.jsonl"
    small = ("--smoke", "--methods", "learned_ranking", "--out", str(out))
    first, again = (benchmark("time_to_circuit", *small) for _ in range(2))
    assert first == again
    trainings = [json.loads(line) for line in out.read_text().splitlines()]
    found = re.search(r"log-KL area of (\d+\.\d+)", first)
    assert found is not None
    target = float(found[1])
    rows = [line for line in first.splitlines() if line.startswith("| sp_widget")]
    (row,), (training,) = rows, trainings
    at_target = next(point for point in training["points"] if point["area"] <= target)
    seconds = f"{at_target['processor']:.2f} | {at_target['wall']:.2f}"
    assert f"| {at_target['step']} | {seconds} |" in row
    # Seconds add up over the whole training.
    assert 0 < at_target["processor"] < training["points"][-1]["processor"]


def test_the_seconds_of_more_steps_than_were_trained_follow_from_the_speed_after_the_first() -> (
    None
):
    points = tuple(Point(step, 1.0, 5.0 + 0.1 * step, 0.0) for step in (10, 20, 30))
    training = Training("a", "b", points)
    assert training.processor_for(20) == pytest.approx(7.0)
    assert training.processor_for(1000) == pytest.approx(105.0)
    assert training.first_at(0.5) is None

"""The benchmarks run, small, on any machine; that for a GPU too, without one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.time_to_circuit import Point, Training

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("shape", ["gpt2-small", "llama-8b"])
def test_the_gpu_benchmark_runs_small_on_the_cpu(shape: str) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--shape", shape]
    run = subprocess.run(
        [*command, "--device", "cpu", "--tiny", "--runs", "1"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "device cpu" in run.stdout
    assert re.search(r"ratio +\d+\.\d\d", run.stdout)
    assert re.search(r"a step within run\(\) +\d+\.\d+ s", run.stdout)
    assert re.search(r"loss +\d+\.\d+ at step 1, \d+\.\d+ at step 5", run.stdout)
    if shape == "llama-8b":
        assert "bfloat16" in run.stdout


def test_without_a_gpu_it_says_so_at_once() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "no CUDA device" in run.stderr


def test_the_comparison_of_methods_runs_small_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "benchmarks.methods", "--smoke", "--out", str(out)]
    first, again = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == again
    assert len(out.read_text().splitlines()) == 2
    rows = [line for line in first.splitlines() if line.startswith("| induction")]
    assert len(rows) == 2
    assert all(re.search(r"\| \d+\.\d{3} \| \d\.\d{3} \| \d+\.\d \|$", row) for row in rows)


def test_the_time_to_a_circuit_runs_small_and_does_not_train_twice(tmp_path: Path) -> None:
    out = tmp_path / "trainings.jsonl"
    command = [sys.executable, "-m", "benchmarks.time_to_circuit", "--smoke", "--out", str(out)]
    first, again = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert first == again
    trainings = [json.loads(line) for line in out.read_text().splitlines()]
    found = re.search(r"log-KL area of (\d+\.\d+)", first)
    assert found is not None
    target = float(found[1])
    rows = [line for line in first.splitlines() if line.startswith("| sp_widget")]
    assert len(rows) == len(trainings) == 2
    for row, training in zip(rows, trainings, strict=True):
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

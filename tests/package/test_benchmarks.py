"""The benchmark that needs a GPU works, small, without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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

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

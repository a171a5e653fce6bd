"""Sweeps by processes of every kind, some of which are killed while they train."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
import submitit
import torch

import sp_widget as sp
from sp_widget.runs.sweep import Sweep
from tests.runs import sweeping
from tests.runs.sweeping import DEADLY, Walk, WalkConfig, processes_in, the_same

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with POSIX signals")

STEPS = WalkConfig().steps


@pytest.fixture(autouse=True)
def _walk(monkeypatch: pytest.MonkeyPatch) -> None:
    sweeping.know_walk(monkeypatch)


def deadly_grid(diary: Path, n_points: int = 3) -> list[dict[str, Any]]:
    """Points of which the second kills its process in the middle."""
    grid: list[dict[str, Any]] = [{"method": "walk", "seed": seed} for seed in range(n_points)]
    grid[1] |= {"diary": str(diary), "deaths": 1}
    return grid


def check_that_it_went_on_exactly(sweep: Sweep, diary: Path) -> None:
    """The killed run went on from its last checkpoint, and every run is as an undisturbed one."""
    assert all(each.finished for each in sweep.results), sweep
    killed, went_on = processes_in(diary).values()
    assert killed == list(range(1, DEADLY + 1))
    assert went_on == list(range(DEADLY, STEPS + 1))
    model, loader, _ = the_same()
    for seed, scores in enumerate(sweep.prune_scores(model)):
        whole = Walk(model, loader, WalkConfig(seed=seed)).run(progress=False)
        assert all(torch.equal(scores[name], whole[name]) for name in whole)


def test_a_process_beside_this_one_makes_it_and_is_replaced_when_it_is_killed(
    tmp_path: Path,
) -> None:
    diary, folder = tmp_path / "diary", tmp_path / "sweep"
    sweep = sp.sweep(sweeping.small, deadly_grid(diary), folder)
    sweep.wait()
    check_that_it_went_on_exactly(sp.Sweep(folder), diary)


def begin_workers_quickly() -> None:
    """Let the workers of Dask be forks of a process that has imported what takes seconds."""
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    context = distributed.utils.get_mp_context()
    context.set_forkserver_preload(["distributed", "transformer_lens.model_bridge"])


def test_dask_gives_the_run_of_a_killed_worker_to_another(tmp_path: Path) -> None:
    """On a real cluster of two processes; the factory is a function without a name."""
    begin_workers_quickly()
    diary, folder = tmp_path / "diary", tmp_path / "sweep"
    model, loader, _ = the_same()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        sweep = sp.sweep(lambda: sweeping.small(), deadly_grid(diary, 4), folder, executor)
        sweep.wait()
        made = sp.stability(
            lambda: sweeping.small(),
            config="mask_gradient",
            n_edges=20,
            n_bootstrap=3,
            executor=executor,
            progress=False,
        )
    check_that_it_went_on_exactly(sweep, diary)
    here = sp.stability(model, loader, "mask_gradient", n_edges=20, n_bootstrap=3, progress=False)
    assert made.jaccard == pytest.approx(here.jaccard)
    assert made.core == here.core


def test_submitit_makes_a_run_in_a_job_of_its_own(tmp_path: Path) -> None:
    executor = submitit.AutoExecutor(folder=tmp_path / "log", cluster="local")
    executor.update_parameters(timeout_min=10)
    sweep = sp.sweep(lambda: sweeping.small(), [{"method": "walk", "seed": 0}], tmp_path, executor)
    sweep.wait()
    assert sweep.results[0].finished, sweep


def test_the_process_goes_with_the_one_that_began_it(tmp_path: Path) -> None:
    """Killed, so that it cannot say goodbye."""
    program = (
        "import os, time\n"
        "from sp_widget.runs.one_process import OneProcess\n"
        "if __name__ == '__main__':\n"
        "    process = OneProcess()\n"
        "    print(process.submit(os.getpid).result(), flush=True)\n"
        "    process.submit(time.sleep, 600)\n"
        "    input()\n"
    )
    (tmp_path / "program.py").write_text(program)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert int(parent.stdout.readline()) != parent.pid
    parent.send_signal(signal.SIGKILL)
    # The output ends when nobody is left who could write to it.
    parent.communicate(timeout=60)

"""However a process ends, its run goes on from its folder exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sp_widget.methods.base import Trainer
from sp_widget.runs import RunFolder
from tests import model_kinds
from tests.methods.test_exactness import _model, moment, same, trainer_of

TIMES = int(os.environ.get("SP_WIDGET_KILLS", "5"))
"""How often a training is killed; set it for a longer trial."""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_a_training_whose_process_ends_goes_on_exactly(tmp_path: Path) -> None:
    """Killed while it saves, and a session whose kernel is shut down."""
    command = [sys.executable, "-m", "tests.runs.ended_processes", str(tmp_path), str(TIMES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"killed {TIMES} times")

    folder = RunFolder(tmp_path / "session" / "run-1")
    assert (folder.status.state, folder.under_way) == ("paused", False)
    assert folder.status.step > 3
    validation = model_kinds.dataloader(2, 4)
    loaded = Trainer.load(folder.path, _model(), model_kinds.dataloader(), validation)
    whole = trainer_of("subnetwork_probing", steps=100_000)
    whole.run(progress=False, until_step=loaded.step_count)
    assert loaded.step_count == folder.status.step
    assert same(moment(loaded), moment(whole))

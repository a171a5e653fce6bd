"""How many files a reader opens who follows one training step from masks to loss and back."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import sp_widget
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds

AT_MOST = 14


def test_a_step_runs_through_few_files() -> None:
    """The batch is prepared; the record is written; no callback, no validation."""
    root = Path(sp_widget.__file__).parent
    model = patchable_model(model_kinds.bridge("gpt2"))
    trainer = SubnetworkProbing(model, model_kinds.dataloader(), SubnetworkProbingConfig(seed=0))
    for _ in trainer.preparation():
        pass
    trainer.step()  # What is made once is made here.
    visited: set[str] = set()

    def visit(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and root in path.parents:
            visited.add(path.relative_to(root).as_posix())

    sys.setprofile(visit)
    try:
        trainer.step()
    finally:
        sys.setprofile(None)
    assert "engine/patched_run.py" in visited
    assert len(visited) <= AT_MOST, sorted(visited)

"""`import sp_widget` is quick: nothing heavy is loaded before it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "anywidget",
    "bqplot",
    "IPython",
    "ipywidgets",
    "jupyterlab",
    "matplotlib",
    "pandas",
    "transformer_lens",
    "transformers",
)


def modules_loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter has loaded after this code."""
    report = (
        "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module",
    [
        "sp_widget",
        "sp_widget.cli",
        "sp_widget.circuits.scores",
        "sp_widget.data.prompts",
        "sp_widget.engine.patchable_model",
        "sp_widget.graph.node_graph",
        "sp_widget.methods",
        "sp_widget.methods.base",
        "sp_widget.methods.subnetwork_probing.method",
        "sp_widget.models.architecture",
        "sp_widget.report.train_graph",
        "sp_widget.session",
        "sp_widget.tasks",
    ],
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    assert not modules_loaded_by(f"import {module}") & set(HEAVY)


def test_the_probe_would_notice_a_heavy_library() -> None:
    assert "ipywidgets" in modules_loaded_by("import ipywidgets")

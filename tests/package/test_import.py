"""`import sp_widget` is quick: nothing heavy is loaded before it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

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


MODULES = (
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
)


def heavy_libraries_after(modules: Sequence[str]) -> dict[str, list[str]]:
    """Return which heavy libraries a fresh interpreter has loaded after each of these imports."""
    code = f"""
import importlib, json, sys
after = {{}}
for module in {list(modules)}:
    importlib.import_module(module)
    after[module] = sorted(set({HEAVY}) & {{name.split(".")[0] for name in sys.modules}})
print(json.dumps(after))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout.splitlines()[-1]))


def test_importing_loads_no_heavy_library() -> None:
    assert heavy_libraries_after(MODULES) == {module: [] for module in MODULES}


def test_the_probe_would_notice_a_heavy_library() -> None:
    assert "ipywidgets" in heavy_libraries_after(["ipywidgets"])["ipywidgets"]

"""The environment in which the reference runs: older versions of most things, the same torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("reference.py")
"""Runs in that environment."""

REQUIREMENTS = (
    "transformer-lens==2.18.0",
    # pyarrow 26 needs numpy 2, which transformer-lens 2 does not take.
    "pyarrow<26",
    # What auto-circuit imports for subnetwork probing and ACDC (attrs it does not declare).
    "attrs",
    "ordered-set",
    "blobfile>=2.0.2",
    "plotly>=5.18.0",
)
REFERENCE = "auto-circuit==1.0.1"


def reference_python(folder: Path) -> Path:
    """The interpreter of the environment in `folder`, which is made if it is not there."""
    python = folder / "bin" / "python"
    done = folder / ".complete"
    if not done.exists():
        print(f"installing {REFERENCE} into {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, _torch(), *REQUIREMENTS], check=True)
        # Without its other dependencies, which are large and take no part in the training.
        subprocess.run([*pip, "--no-deps", REFERENCE], check=True)
        done.touch()
    return python


def _torch() -> str:
    """The version that the project's own environment has."""
    found = re.search(r"^torch==\S+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError("constraints.txt does not pin torch")
    return found.group()


def run(command: list[Any], environment: dict[str, str] | None = None) -> str:
    """What the command prints, run from the repository's root. `environment` is added to ours."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout

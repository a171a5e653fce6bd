"""Run tutorials and store their outputs, which the tests compare with.

python tools/refresh_notebooks.py notebooks/01_quickstart.ipynb ...

What differs from run to run, and what only a kernel gives a meaning to, is left out: times of
execution, and the views of widgets (a picture stands beside each).
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(path: Path) -> None:
    """Run a notebook in its own folder, and write it with the new outputs."""
    notebook = nbformat.read(path, as_version=4)
    kept = dict(notebook.metadata)
    NotebookClient(
        notebook,
        timeout=600,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(kept)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        refresh(Path(name))

"""A run is a folder: read it without a model, and keep a run there while it is made."""

from sp_widget.runs.folder import RunFolder, runs_in
from sp_widget.runs.run_to_end import run_in_folder
from sp_widget.runs.status import RunStatus

__all__ = ["RunFolder", "RunStatus", "run_in_folder", "runs_in"]

"""Keep a run in its folder while it is made, so that little is lost however its process ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sp_widget.errors import ArgumentError, StateError
from sp_widget.files import remove_leftovers
from sp_widget.folder_lock import FolderLock
from sp_widget.methods.base import Trainer
from sp_widget.methods.run_files import Moment, RunWriter, moment_of
from sp_widget.runs.status import RunState, RunStatus, status_now, write_status

SECONDS_BETWEEN = 10.0
"""From one automatic checkpoint to the next, at least."""

SHARE = 0.01
"""Of the training's time that automatic checkpoints take at most."""

WRITING = "sp-widget-checkpoint"

Notes = Callable[[], Mapping[str, Any]]
"""Returns what a floor above keeps with a checkpoint, as JSON."""

_ENDS = ("done", "stopped", "failed")


class RunKeeper:
    """Writes one run into its folder. Every method is called by the trainer's owner alone.

    `after_step` only copies what there is; a thread writes it meanwhile. A folder that cannot be
    written ends no training: `problem` says so.

    Args:
        folder: of this run, or a new one.
        seconds_between: from one automatic checkpoint to the next, at least.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds_between: float = SECONDS_BETWEEN,
    ) -> None:
        self.folder = folder
        self.problem = ""
        """Why the last writing failed, for a person; empty: it did not."""
        self._seconds_between = seconds_between
        self._lock = FolderLock(folder)
        self._writer = RunWriter(folder)
        self._writing: threading.Thread | None = None
        self._due = 0.0
        self._cost = 0.0
        """Seconds of processor time that the last checkpoint took in the writing thread."""

    def take(self) -> None:
        """Claim the folder. Raises `StateError` while another run is under way there, and `OSError`
        where it cannot be written.
        """
        self._lock.take()
        remove_leftovers(self.folder)

    def after_step(
        self, trainer: Trainer[Any], state: RunState = "running", notes: Notes = dict
    ) -> None:
        """Write a checkpoint in the background if one is due. `notes`: what to keep with it."""
        now = time.monotonic()
        if now < self._due or (self._writing is not None and self._writing.is_alive()):
            return
        began = time.thread_time()
        look = self._look(trainer, state, None, notes)
        if look is None:
            self._due = math.inf
            return
        self._writing = threading.Thread(target=self._write, args=look, name=WRITING)
        self._writing.start()
        cost = time.thread_time() - began + self._cost
        self._due = now + max(self._seconds_between, cost / SHARE)

    def save(
        self,
        trainer: Trainer[Any],
        state: RunState,
        error: BaseException | None = None,
        notes: Notes = dict,
    ) -> None:
        """Write the run as it is, and return when it is on the disk. An end lets the folder go."""
        if self._writing is not None:
            self._writing.join()
        try:
            self._lock.take()
        except (OSError, StateError) as reason:
            self.problem = _in_words(reason)
            return
        look = self._look(trainer, state, error, notes)
        if look is not None:
            self._write(*look)
        if state in _ENDS:
            self.let_go()

    def let_go(self) -> None:
        """Let another run have the folder."""
        if self._writing is not None:
            self._writing.join()
        self._lock.let_go()

    def _look(
        self, trainer: Trainer[Any], state: RunState, error: BaseException | None, notes: Notes
    ) -> tuple[Moment, RunStatus] | None:
        """Return what to write; `None` where there is none, such as for a method of no name."""
        try:
            status = status_now(state, trainer.step_count, trainer.n_steps, error)
            return moment_of(trainer, notes()), status
        except Exception as reason:
            self.problem = _in_words(reason)
            return None

    def _write(self, moment: Moment, status: RunStatus) -> None:
        began = time.thread_time()
        try:
            self._writer.write(moment)
            write_status(self.folder, status)
            self.problem = ""
        except Exception as error:
            # Whatever it is, it must not end the training.
            self.problem = _in_words(error)
        self._cost = time.thread_time() - began


def _in_words(error: Exception) -> str:
    ours = isinstance(error, ArgumentError | StateError)
    reason = getattr(error, "strerror", None) or (str(error) if ours else repr(error))
    return f"The run could not be saved in its folder: {reason}."

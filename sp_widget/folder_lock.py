"""Whose a folder is: one run at a time is written there.

The lock is the operating system's, so that it goes with its process however that ends. Where a
file system has no locks, nothing is locked.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sp_widget.errors import StateError

NAME = ".lock"

_PATIENCE = 1.0
"""Seconds to try for: somebody may just be looking whether the lock is held."""


class FolderLock:
    """The lock of a run's folder. Taken twice it is taken once; let go twice likewise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Take the lock. Raises `StateError` while a run is under way in the folder."""
        if self._file is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / NAME).open("ab")
        end = time.monotonic() + _PATIENCE
        while not _locked(file, exclusive=True):
            if time.monotonic() > end:
                file.close()
                raise StateError(f"a run is under way in the folder {self._folder}")
            time.sleep(0.02)
        self._file = file

    def let_go(self) -> None:
        """Let others take the lock."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> FolderLock:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def __del__(self) -> None:
        # Of a run that nobody can ask any more.
        self.let_go()


def is_held(folder: Path) -> bool:
    """Return whether a run is under way in a folder, in this process or another."""
    with suppress(OSError), (folder / NAME).open("r+b") as file:
        return not _locked(file, exclusive=False)
    return False


def _locked(file: BinaryIO, *, exclusive: bool) -> bool:
    """Lock an open file until it is closed. False: somebody else has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            if not exclusive:
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        # A file system without locks.
        return True
    return True

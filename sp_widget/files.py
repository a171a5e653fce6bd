"""Write a file wholly or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".sp-widget-*.part"
"""What a process that was killed while it wrote leaves beside the file."""


LONGEST_PATH = 4096
"""Bytes of a path; a longer one is refused by the system, on most of them an even shorter one."""


def is_path(value: object) -> bool:
    """Return whether `value` can be the path of a file: a text that the system can encode."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        return False
    try:
        return len(os.fsencode(value)) < LONGEST_PATH
    except UnicodeEncodeError:
        return False


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write `content` to a file so that it always has either its former content or the new one.

    A temporary file beside it is written, brought to the disk and renamed. When that fails the
    former file is as it was and the temporary one gone. A link is replaced and not followed.

    Raises `OSError` as `open` does.
    """
    path = Path(path)
    temporary = path.parent / TEMPORARY.replace("*", secrets.token_hex(8))
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        keep_permissions(path, temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is not None:
            # That of the temporary file says nothing to a person.
            error.filename, error.filename2 = str(path), None
        raise
    settle(path.parent)


def keep_permissions(former: Path, new: Path) -> None:
    """Give a file the permissions of another, where that exists."""
    try:
        mode = former.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISREG(mode):
        new.chmod(stat.S_IMODE(mode))


def settle(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name != "posix":
        return
    # The file is written; some file systems, and folders that cannot be listed, give no more.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder that nobody else writes to."""
    for temporary in folder.glob(TEMPORARY):
        temporary.unlink(missing_ok=True)

"""How a run in a folder is, or how it ended."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from sp_widget.checked_files import read_json
from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically

STATUS = "status.json"
STATUS_FORMAT = "sp_widget status 1"

RunState: TypeAlias = Literal[
    "preparing", "running", "paused", "stopping", "done", "stopped", "failed"
]
"""The last three are ends: all steps done, stopped by a person, an error."""

MOST_TEXT = 100_000
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class RunStatus:
    """The content of `status.json`."""

    state: RunState
    step: int
    """Steps done."""
    n_steps: int
    """Steps of the whole run."""
    error: str = ""
    """What ended a run that failed, in a line."""
    traceback: str = ""
    """Where it was raised."""
    updated: str = ""
    """When this was written: UTC, as in ISO 8601."""


def status_now(state: RunState, step: int, n_steps: int, error: BaseException | None) -> RunStatus:
    """Return the status of a run at this moment."""
    text, trace = "", ""
    if error is not None:
        try:
            text = f"{type(error).__name__}: {error}"
            trace = "".join(traceback.format_exception(error))
        except Exception as unreadable:
            # The text of an error is code of somebody else.
            text = f"{type(error).__name__}, whose text raises {type(unreadable).__name__}"
    return RunStatus(
        state,
        step,
        n_steps,
        text[:MOST_TEXT],
        trace[-MOST_TEXT:],
        datetime.now(timezone.utc).isoformat(),
    )


def write_status(folder: Path, status: RunStatus) -> None:
    """Write `status.json`."""
    content = {"format": STATUS_FORMAT, **asdict(status)}
    write_atomically(folder / STATUS, json.dumps(content, indent=1).encode())


def read_status(folder: Path) -> RunStatus:
    """Return what `write_status` wrote. Raises `ArgumentError` for anything else."""
    content = read_json(folder / STATUS, STATUS_FORMAT)
    for field in fields(RunStatus):
        kind = int if field.name in ("step", "n_steps") else str
        value = content.get(field.name)
        if type(value) is not kind or (isinstance(value, int) and value < 0):
            raise ArgumentError("folder", f"{STATUS}: {kind.__name__} as {field.name}", value)
    if content["state"] not in get_args(RunState):
        wanted = f"{STATUS}: one of {', '.join(get_args(RunState))} as state"
        raise ArgumentError("folder", wanted, content["state"])
    return RunStatus(**{field.name: content[field.name] for field in fields(RunStatus)})

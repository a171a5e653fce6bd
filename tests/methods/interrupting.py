"""An interrupt at a chosen place: after so many bytecodes of this package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import sp_widget

PACKAGE = str(Path(sp_widget.__file__).parent)


@contextmanager
def counting(at: int | None = None) -> Iterator[Callable[[], int]]:
    """Count the bytecodes of the package that this thread executes inside; yields the count so far.

    Raises `KeyboardInterrupt` before bytecode number `at`, as a signal's handler would there.
    """
    count = 0

    def follow(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            count += 1
            if count == at:
                raise KeyboardInterrupt
        return follow

    before = sys.gettrace()
    # Python 3.12 reports bytecodes only if a frame asked for them before this call.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(follow)
    try:
        yield lambda: count
    finally:
        sys.settrace(before)

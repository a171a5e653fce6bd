"""A wait of the main thread that no interrupt gets past.

Python runs signal handlers on the main thread, between two of its instructions, and a thread that
waits for a lock has none. Usually the signal itself ends that wait. Not when another thread of the
process was picked to take it, not on Windows, and not in the instant before the wait begins. And
where the `KeyboardInterrupt` of the handler is raised inside a finalizer, Python prints it and goes
on: the interrupt is lost for ever.

So the main thread waits in slices, and while it does the handler only takes note.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from typing import Any

SLICE = 0.05
"""Seconds after which the main thread looks whether it was interrupted."""


def wait_until_done(future: Future[Any], timeout: float | None) -> bool:
    """Return whether `future` was done before `timeout` seconds had passed.

    Raises `KeyboardInterrupt` for an interrupt that arrives meanwhile, at the latest after a slice.
    A handler of somebody else, or none because the process ignores interrupts, stays in place.
    """
    if threading.current_thread() is not threading.main_thread():
        return bool(wait_for_futures((future,), timeout).done)
    end = float("inf") if timeout is None else time.monotonic() + timeout
    with _interrupts() as noted:
        while not (future.done() or noted or time.monotonic() >= end):
            wait_for_futures((future,), max(0.0, min(SLICE, end - time.monotonic())))
    if noted:
        raise KeyboardInterrupt
    return future.done()


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yield a list to which each interrupt is appended that would raise `KeyboardInterrupt`."""
    noted: list[int] = []
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield noted
        return
    signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

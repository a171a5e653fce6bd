"""An executor of one process, which leaves the one that asks free."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

T = TypeVar("T")

THREAD = "sp-widget-sweep"

LIVES = 3
"""How often a job whose process is killed is begun, until it counts as the one that kills it."""


class OneProcess(Executor):
    """Makes one job after another in a spawned process; another takes over where it is killed.

    The process ends with the last job after `shutdown`, and with the process that began it,
    however that ends. An interrupt from the keyboard does not reach it.
    """

    def __init__(self) -> None:
        self._one_by_one = ThreadPoolExecutor(1, thread_name_prefix=THREAD)
        self._pool: ProcessPoolExecutor | None = None
        """Used by that one thread alone."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Return the future of a call in the process. Function and arguments must be picklable."""
        return self._one_by_one.submit(self._made, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and end the process when those that there are are done."""
        if not cancel_futures:
            self._one_by_one.submit(self._end)
        self._one_by_one.shutdown(wait=wait, cancel_futures=cancel_futures)
        if cancel_futures and wait:
            self._end()

    def _made(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        for life in range(1, LIVES + 1):
            if self._pool is None:
                # Not a fork: torch's threads do not survive one.
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, spawn, initializer=_begin)
            try:
                return self._pool.submit(fn, *args, **kwargs).result()
            except BrokenProcessPool:
                self._end()
                if life == LIVES:
                    raise
        raise AssertionError("unreachable")

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


def _begin() -> None:
    """Settle in the new process."""
    # A notebook's interrupt goes to all processes of the kernel, whichever cell it was meant for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # Whatever is under way can go on from its folder.
        os._exit(1)

"""Killing a process while it writes, again and again."""

from __future__ import annotations

import os
import random
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 60.0


def killed(work: Callable[[Callable[[int], None]], None], chance: random.Random) -> int:
    """Run `work` in a copy of this process and kill it at a random moment.

    `work` calls what it is given with a number whenever something is finished. Returns the last
    number that arrived, 0 without one. The moment lies within the second thing that is made.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(told)
            work(lambda number: _tell(tell, number))
        finally:
            os._exit(1)
    os.close(tell)
    try:
        began = time.monotonic()
        heard = _heard(told)
        # The second thing takes about as long as the first did after the start.
        time.sleep(chance.random() * min(time.monotonic() - began, 0.1))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    while select.select([told], [], [], 0)[0]:
        rest = os.read(told, 8)
        if len(rest) < 8:
            break
        heard = int.from_bytes(rest, "little")
    os.close(told)
    return heard


def _tell(pipe: int, number: int) -> None:
    os.write(pipe, number.to_bytes(8, "little"))


def _heard(pipe: int) -> int:
    assert select.select([pipe], [], [], PATIENCE)[0], "the process said nothing"
    said = os.read(pipe, 8)
    assert len(said) == 8, "the process failed"
    return int.from_bytes(said, "little")


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file can grow beyond `n_bytes`: what is written fails half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

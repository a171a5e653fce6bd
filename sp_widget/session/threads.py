"""How many threads the operations of a run use.

torch's threads wait for each other by spinning, unless `OMP_WAIT_POLICY=PASSIVE` was set before it
was imported. Where another process needs one of their cores, all of them wait for the one that has
none, and a step with two threads can take fifty times as long as with one. Which number is best
therefore depends on what else the machine does, and is found by trying.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Literal, TypeAlias, TypeVar

import torch

from sp_widget.data.prompts import is_whole_number
from sp_widget.errors import ArgumentError

Threads: TypeAlias = int | Literal["auto"]
"""How many threads a run uses; `"auto"`: as many as make its steps quickest."""

T = TypeVar("T")

ROUNDS = 12
"""Steps that a trial makes at most with each number."""

ROUNDS_IF_CLEAR = 3
"""As many are enough where each step of one number was quicker than every step of the others."""

SECONDS_OF_A_TRIAL = 1.5
"""After so many seconds a trial makes no further round: where steps are long, one tells enough."""

HOPELESS = 2.0
"""A number that twice took so many times the least is not tried again."""

AS_GOOD = 1.05
"""Fewer threads are chosen if they take at most so many times the least: others need cores too."""

RECENT_STEPS = 5
MUCH_SLOWER = 2.0

SHARE_OF_TRIALS = 0.05
"""At most so much of the time goes into trials after the first."""


def check_threads(threads: object) -> None:
    """Raise `ArgumentError` unless `threads` is "auto" or a number of threads."""
    # An array compared with a word is an array.
    good = threads == "auto" if isinstance(threads, str) else is_whole_number(threads)
    if not good or (is_whole_number(threads) and threads < 1):
        raise ArgumentError("threads", "'auto' or a whole number from 1 on", threads)


def candidates(available: int) -> tuple[int, ...]:
    """Return the numbers of threads worth trying: powers of two, and all that are available."""
    powers = (2**exponent for exponent in range(available.bit_length()))
    return tuple(sorted({*powers, available}))


class Trial:
    """Finds the number of threads with which a step takes the least time.

    Each number in turn, the smallest first, so that a machine whose load changes slows all.
    """

    def __init__(self, numbers: tuple[int, ...]) -> None:
        self._seconds: dict[int, list[float]] = {number: [] for number in numbers}

    def next(self) -> int | None:
        """Return the number to try now; `None`: enough is known."""
        hopeful = self._hopeful()
        number = min(hopeful, key=lambda each: len(self._seconds[each]))
        rounds = len(self._seconds[number])
        if rounds == 0:
            return number if len(self._seconds) > 1 else None
        clear = len(hopeful) == 1 or (rounds >= ROUNDS_IF_CLEAR and self._is_clear())
        enough = clear or rounds == ROUNDS or self.seconds > SECONDS_OF_A_TRIAL
        return None if enough else number

    def take(self, number: int, seconds: float) -> None:
        """Note how long a step took with a number of threads."""
        self._seconds[number].append(seconds)

    @property
    def seconds(self) -> float:
        """Of all steps tried so far."""
        return sum(sum(each) for each in self._seconds.values())

    @property
    def best(self) -> int:
        """The smallest number that takes about the least time."""
        medians = self._medians()
        if not medians:
            return min(self._seconds)
        least = min(medians.values())
        return min(number for number, each in medians.items() if each <= AS_GOOD * least)

    @property
    def costliest(self) -> tuple[int, float]:
        """The number of threads that slows a step most, and how many times the best's it takes."""
        medians = self._medians()
        number = max(medians, key=lambda each: medians[each], default=self.best)
        return number, medians.get(number, 1.0) / medians.get(self.best, 1.0)

    def _hopeful(self) -> list[int]:
        """Return the numbers that may be the best; where some are too many, more are no better."""
        tried = {number: min(each) for number, each in self._seconds.items() if each}
        if not tried:
            return list(self._seconds)
        best = min(tried, key=lambda each: tried[each])
        slow = {number for number, each in tried.items() if each > HOPELESS * tried[best]}
        too_many = min((number for number in slow if number > best), default=math.inf)
        # One slow step may have been a hiccup.
        hopeless = {number for number in slow if len(self._seconds[number]) > 1}
        return [
            number
            for number, each in self._seconds.items()
            if number not in hopeless and (each or number < too_many)
        ]

    def _is_clear(self) -> bool:
        tried = [each for each in self._seconds.values() if each]
        quickest = min(tried, key=statistics.median)
        return all(max(quickest) < min(each) for each in tried if each is not quickest)

    def _medians(self) -> dict[int, float]:
        tried = {number: each for number, each in self._seconds.items() if each}
        return {number: statistics.median(each) for number, each in tried.items()}


class Pace:
    """Notices when steps have become much slower than they were since the last trial."""

    def __init__(self, trial_seconds: float) -> None:
        self._until_another = trial_seconds / SHARE_OF_TRIALS
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._usual = float("inf")

    def take(self, seconds: float) -> bool:
        """Note how long a step took; return whether it is time for another trial."""
        self._until_another -= seconds
        self._recent.append(seconds)
        if len(self._recent) < RECENT_STEPS:
            return False
        median = statistics.median(self._recent)
        self._usual = min(self._usual, median)
        return median > MUCH_SLOWER * self._usual and self._until_another <= 0


def spinning_note(trial: Trial, environment: Mapping[str, str]) -> str:
    """Return what to set where threads that spin cost time; empty: nothing."""
    number, times = trial.costliest
    passive = environment.get("OMP_WAIT_POLICY", "").strip().lower() == "passive"
    if passive or number == 1 or number < trial.best or times < HOPELESS:
        return ""
    return (
        f"On this busy machine a step takes {times:.2g} times as long with {number} threads as "
        f"with {trial.best}, because threads wait for each other by spinning: set the environment "
        "variable OMP_WAIT_POLICY=PASSIVE before the kernel starts."
    )


def threads_of_process() -> int:
    """Return the number that a thread which has set none gets from torch."""
    with _setting:
        return _in_new_thread(torch.get_num_threads)


def use_threads(number: int) -> None:
    """Let torch use so many threads for the operations of the calling thread, and of no other.

    torch keeps the number of every thread apart, but one that is set also becomes that of threads
    which begin later; a new thread sets it back at once.
    """
    with _setting:
        of_process = _in_new_thread(torch.get_num_threads)
        # The first call of a thread takes over what the process has; not after what is set here.
        torch.get_num_threads()
        torch.set_num_threads(number)
        _in_new_thread(lambda: torch.set_num_threads(of_process))


_setting = Lock()
"""Held while the number of the process is not what it should be: two runs may begin together."""


def _in_new_thread(function: Callable[[], T]) -> T:
    answer: Future[T] = Future()
    thread = Thread(target=lambda: answer.set_result(function()))
    thread.start()
    thread.join()
    return answer.result()

"""One thread that brings to the browser what changed, a few times a second."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable

THREAD_NAME = "sp-widget-publisher"

PATIENCE = 10.0
"""Seconds without a change after which the thread ends; the next change starts another."""

log = logging.getLogger(__name__)


class Publisher:
    """Calls `publish` soon after `wake`, never more often than every `interval` seconds.

    Changes in between are published together, and the last one always is. `publish` is called
    by one thread at a time, with no lock of its caller held; an exception in it is logged, and
    the next change is published all the same. It may return a number of seconds: then it is
    called again after that time even if nothing changes.

    Between two publications the thread holds its publisher weakly, and ends with it.
    """

    def __init__(self, publish: Callable[[], float | None], interval: float) -> None:
        self._publish = publish
        self.interval = interval
        """Seconds between two publications, at least."""
        # Held while waiting for its turn and publishing.
        self._publishing = threading.Lock()
        self._due = 0.0
        # Below is read and written under this lock, which is never held while publishing.
        # Reentrant: the thread may close its publisher as the last one that refers to it.
        self._changed = threading.Condition(threading.RLock())
        self._pending = False
        self._again: float | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def wake(self) -> None:
        """Something changed. Returns at once; may be called from any thread."""
        with self._changed:
            self._pending = True
            self._rouse()

    def flush(self) -> None:
        """Publish what has not been published yet, at the latest after one interval."""
        with self._publishing:
            if self._is_pending():
                time.sleep(max(0.0, self._due - time.monotonic()))
                self._due = time.monotonic() + self.interval
                self._publish_pending()

    def close(self) -> None:
        """Publish nothing from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _seconds_to_wait(self, deadline: float) -> float | None:
        """Return how long the thread may wait for a change: 0, there is one; `None`, it may end.

        Called under the lock. `deadline`: when it has waited long enough for nothing.
        """
        now = time.monotonic()
        if self._closed:
            seconds = None
        elif self._pending or (self._again is not None and self._again <= now):
            self._pending, seconds = True, 0.0
        elif self._again is not None:
            seconds = self._again - now
        else:
            seconds = deadline - now if now < deadline else None
        if seconds is None:
            self._thread = None
        return seconds

    def _is_pending(self) -> bool:
        with self._changed:
            return self._pending and not self._closed

    def _publish_pending(self) -> None:
        with self._changed:
            # Before it is published: a change from now on is published once more.
            self._pending, self._again = False, None
        try:
            seconds = self._publish()
        except Exception:
            log.exception("The training's progress could not be shown")
            return
        if seconds is not None:
            with self._changed:
                self._again = time.monotonic() + seconds
                self._rouse()

    def _rouse(self) -> None:
        """Let the thread look again, called under the lock."""
        if self._closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=_work, args=(weakref.ref(self), self._changed), name=THREAD_NAME, daemon=True
            )
            self._thread.start()
        else:
            self._changed.notify()


def _work(reference: weakref.ref[Publisher], changed: threading.Condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with changed:
            publisher = reference()
            seconds = None if publisher is None else publisher._seconds_to_wait(deadline)
            if seconds is None:
                return
            if seconds > 0:
                # What lets it go may close it here and now, and notify nobody.
                publisher = None
                if reference() is not None:
                    changed.wait(seconds)
                continue
        assert publisher is not None
        publisher.flush()
        publisher = None
        deadline = time.monotonic() + PATIENCE

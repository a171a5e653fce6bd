"""One thread that brings to the browser what changed, a few times a second."""

from __future__ import annotations

import logging
import threading
import time
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
    """

    def __init__(self, publish: Callable[[], float | None], interval: float) -> None:
        self._publish = publish
        self.interval = interval
        """Seconds between two publications, at least."""
        # Held while waiting for its turn and publishing.
        self._publishing = threading.Lock()
        self._due = 0.0
        # Below is read and written under this lock, which is never held while publishing.
        self._changed = threading.Condition(threading.Lock())
        self._pending = False
        self._again: float | None = None
        self._thread: threading.Thread | None = None

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

    def _work(self) -> None:
        while self._await_work():
            self.flush()

    def _await_work(self) -> bool:
        """Wait until there is something to publish. False: nothing comes, the thread may end."""
        with self._changed:
            while not self._pending:
                if self._again is not None:
                    seconds = self._again - time.monotonic()
                    self._pending = seconds <= 0
                    self._changed.wait(max(0.0, seconds))
                elif not self._changed.wait_for(self._has_work, PATIENCE):
                    self._thread = None
                    return False
            return True

    def _has_work(self) -> bool:
        return self._pending or self._again is not None

    def _is_pending(self) -> bool:
        with self._changed:
            return self._pending

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
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
            self._thread.start()
        else:
            self._changed.notify()

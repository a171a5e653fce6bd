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
    the next change is published all the same.
    """

    def __init__(self, publish: Callable[[], None], interval: float) -> None:
        self._publish = publish
        self.interval = interval
        """Seconds between two publications, at least."""
        # Held while waiting for its turn and publishing.
        self._publishing = threading.Lock()
        self._due = 0.0
        # Below is read and written under this lock, which is never held while publishing.
        self._changed = threading.Condition(threading.Lock())
        self._pending = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Something changed. Returns at once; may be called from any thread."""
        with self._changed:
            self._pending = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def flush(self) -> None:
        """Publish what has not been published yet, at the latest after one interval."""
        with self._publishing:
            if self._is_pending():
                time.sleep(max(0.0, self._due - time.monotonic()))
                self._due = time.monotonic() + self.interval
                self._publish_pending()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._pending, PATIENCE):
                    self._thread = None
                    return
            self.flush()

    def _is_pending(self) -> bool:
        with self._changed:
            return self._pending

    def _publish_pending(self) -> None:
        with self._changed:
            # Before it is published: a change from now on is published once more.
            self._pending = False
        try:
            self._publish()
        except Exception:
            log.exception("The training's progress could not be shown")

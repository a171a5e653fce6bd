"""A thread beside the training that is there while it has something to do."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

from sp_widget.session.session import Session
from sp_widget.session.threads import use_threads

SECONDS_TO_END_AT_EXIT = 10.0


class BackgroundWork:
    """Runs `work` on a thread of its own, and again when it is needed after it has ended.

    `work` returns once it has called `end`, and looks at `closed` between two parts of it.

    Args:
        name: Of the thread.
        session: Whose number of torch threads is used.
    """

    def __init__(self, name: str, session: Session, work: Callable[[], None]) -> None:
        self._name = name
        self._session = session
        self._work = work
        self._thread: threading.Thread | None = None
        """The last one, whose work may be done."""
        self._at_work = False
        self.lock = threading.Condition(threading.Lock())
        """Guards the thread's state and what its owner adds, for a few instructions each time."""
        self.closed = False

    def begin(self) -> None:
        """Start a thread unless one is at work. The caller holds the lock."""
        if not self._at_work:
            self._at_work = True
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            # As for a training: no thread may be inside torch when the process ends.
            atexit.register(self.close)
            self._thread.start()

    def end(self) -> None:
        """Note that the thread has nothing left to do. The caller holds the lock."""
        self._at_work = False
        atexit.unregister(self.close)
        self.lock.notify_all()

    def close(self) -> None:
        """Let the thread end after what is at work, and wait for it."""
        with self.lock:
            self.closed = True
            self.lock.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(SECONDS_TO_END_AT_EXIT)

    def _run(self) -> None:
        use_threads(self._session.snapshot().threads or 1)
        self._work()

"""Waiting for what a session tells its listeners, instead of polling it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sp_widget.session import Session, Snapshot

PATIENCE = 300.0
"""Seconds after which a test gives up: far more than a loaded machine needs."""


class Watch:
    """Wakes up whenever the session says that it changed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._changed = threading.Condition()
        session.subscribe(self._wake)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def until(self, holds: Callable[[Snapshot], bool]) -> Snapshot:
        """The first snapshot seen for which `holds` is true."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: holds(self._session.snapshot()), PATIENCE)
        assert arrived, f"still {self._session.snapshot()}"
        return self._session.snapshot()

    def until_state(self, state: str) -> Snapshot:
        return self.until(lambda snapshot: snapshot.state == state)

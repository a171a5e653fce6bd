"""What the browser's console says, and what of it is known and not ours."""

from __future__ import annotations

import re

from playwright.sync_api import ConsoleMessage, Error, Page

NOT_OURS = (
    # Notebook registers some menu entries twice.
    r"Menu entry for command '[\w:-]+' is duplicated\.",
    # JupyterLab 4.2 looks for translations into the browser's own language, and meets widgets whose
    # manager was built with a later one.
    r"Language pack 'en_US' not installed!",
    r"Unsatisfied version [\d.]+ from \S+ of shared singleton module",
    # Two of Notebook's own bundles hold the shared document.
    r"\[yjs#509\] Not same Y\.Doc",
    # Notebook opens its file browser's folder before that is there.
    r"Command 'filebrowser:open-path' not registered\.",
    # Notebook reads the schema of a settings plugin that only JupyterLab has.
    r"Cannot read properties of undefined \(reading 'schema'\)",
)
"""Beginnings of messages that come without any widget on the page, too."""


class Console:
    """Collects errors, warnings and uncaught exceptions of pages."""

    def __init__(self) -> None:
        self._complaints: list[str] = []
        self._expected: tuple[str, ...] = ()

    def listen(self, page: Page) -> None:
        page.on("console", self._take_message)
        page.on("pageerror", self._take_exception)

    def expect(self, beginning: str) -> None:
        """Let messages that begin so pass, until the next `take`."""
        self._expected += (beginning,)

    def take(self) -> list[str]:
        """What came since the last call and is not known to be somebody else's."""
        complaints, self._complaints = self._complaints, []
        known = (*NOT_OURS, *self._expected)
        self._expected = ()
        return [each for each in complaints if not any(re.match(p, each) for p in known)]

    def _take_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self._complaints.append(f"{message.text} ({message.location.get('url')})")

    def _take_exception(self, error: Error) -> None:
        self._complaints.append(f"{error.message}\n{error.stack}")

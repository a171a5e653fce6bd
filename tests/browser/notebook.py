"""A notebook in the browser, in JupyterLab or in Notebook, driven as a person drives it."""

from __future__ import annotations

import re
from typing import Literal

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.server import JupyterServer

FrontEnd = Literal["lab", "notebook"]

PATIENCE = 120_000
"""Milliseconds for what may include the import of transformer_lens on a busy machine."""

_KERNEL = re.compile(r"Python 3")
_IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


class NotebookPage:
    """One notebook in one page of the browser. Cells are counted from 0, markdown included."""

    def __init__(self, page: Page, server: JupyterServer, path: str, front_end: FrontEnd) -> None:
        self.page = page
        # A workspace of its own: what another test left open does not come back.
        lab = f"lab/workspaces/{re.sub(r'[^a-z0-9]', '', path)}/tree"
        self._url = server.url(f"{lab if front_end == 'lab' else 'notebooks'}/{path}")
        self._file = server.root / path
        self.front_end = front_end

    def open(self) -> None:
        """Go to the notebook, also anew, and wait for its kernel."""
        # Before its kernel is connected a notebook shows "idle" too, and would ask for a kernel.
        with self.page.expect_websocket(lambda ws: "/channels" in ws.url, timeout=PATIENCE):
            self.page.goto(self._url)
        expect(self.page.locator(".jp-KernelName")).to_have_text(_KERNEL, timeout=PATIENCE)
        expect(self.page.locator(_IDLE)).to_have_count(1, timeout=PATIENCE)
        # The front ends attach cells that are out of sight one by one, when they have time.
        saved = nbformat.read(self._file, as_version=4)
        expect(self.cells).to_have_count(len(saved.cells), timeout=PATIENCE)

    @property
    def cells(self) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell")

    def outputs(self, cell: int) -> Locator:
        """Everything below the input of a cell."""
        return self.cells.nth(cell).locator(".jp-Cell-outputArea")

    def select(self, cell: int) -> None:
        """Make a code cell the active one, in command mode."""
        # The prompt would not do: a click there leaves the focus in a widget of the same cell.
        self.cells.nth(cell).locator(".cm-content").click()
        self.page.keyboard.press("Escape")

    def begin(self, cell: int) -> None:
        """Run a cell without waiting for its end."""
        self.select(cell)
        self.page.keyboard.press("Control+Enter")

    def run(self, cell: int) -> str:
        """Run a cell to its end; returns what it printed."""
        self.begin(cell)
        return self.finish(cell)

    def is_running(self, cell: int) -> bool:
        return "[*]" in (self.prompt(cell).text_content() or "")

    def finish(self, cell: int) -> str:
        """Wait until a cell that was begun has ended; returns what it printed."""
        expect(self.prompt(cell)).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE)
        return self.printed(cell)

    def printed(self, cell: int) -> str:
        """The text in a cell's output, tracebacks included, without widgets."""
        # Not the inner texts: they are empty while the cell is scrolled out of sight.
        texts = self.outputs(cell).locator(".jp-RenderedText").all_text_contents()
        return "\n".join(texts).strip()

    def append(self, code: str) -> int:
        """Put a new cell with `code` at the end; returns its number."""
        cells = self.cells.count()
        self.page.locator(".jp-Notebook-footer").click()
        expect(self.cells).to_have_count(cells + 1)
        self.cells.nth(cells).locator(".cm-content").click()
        # Inserted at once: typed key by key the editor would close brackets on its own.
        self.page.keyboard.insert_text(code)
        return cells

    def append_and_begin(self, code: str) -> int:
        cell = self.append(code)
        self.page.keyboard.press("Control+Enter")
        return cell

    def evaluate(self, code: str) -> str:
        """Run `code` in a new last cell; returns what it printed, tracebacks included."""
        return self.finish(self.append_and_begin(code))

    def save(self) -> None:
        """Press the notebook's own keys for it, from wherever the focus is."""
        with self.page.expect_response(
            lambda response: response.request.method == "PUT" and "/api/contents/" in response.url
        ) as saved:
            self.page.keyboard.press("Control+s")
        assert saved.value.ok

    def use_theme(self, scheme: Literal["light", "dark"]) -> None:
        """Switch the colours of the whole page."""
        self.page.emulate_media(color_scheme=scheme)
        expect(self.page.locator("body")).to_have_attribute(
            "data-jp-theme-light", "true" if scheme == "light" else "false"
        )
        # JupyterLab covers the page until the new colours are there.
        expect(self.page.locator("#jupyterlab-splash")).to_be_hidden()

    def prompt(self, cell: int) -> Locator:
        return self.cells.nth(cell).locator(".jp-InputPrompt")

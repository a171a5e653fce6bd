"""Clicks that are handled while a cell runs.

JupyterLab sends what happens in a widget to a subshell of the kernel, a thread of its own, so
that it can be handled while the main thread runs a cell. ipykernel 7.4 however delivers a
message to the shell that last *published* on the same comm (`ipykernel/comm/comm.py`), because
somebody there may wait for a reply. The control panel never waits for one; and everything that
a cell or the publisher thread writes to it would move its clicks to the busy main shell. So its
comm is told to deliver every message to the shell that it was addressed to.

This changes one comm object and nothing of ipykernel itself. Where the kernel lacks the detail
nothing is changed, and where it has no subshells the panel says what to expect.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

ROUTE = "_reply_subshell_for"
"""The method by which ipykernel 7.4 picks the shell of a message: `(data, addressed_to)`."""

WAITS_FOR_CELL = (
    "Clicks take effect between cells: while a cell runs, they wait until it ends. "
    "(This notebook cannot handle them at the same time. {instead})"
)
AWAIT = "`await probe.finished()` instead of `probe.wait()` keeps them alive."
"""From ipykernel 7.4 on, whose main shell handles a click while a cell awaits something."""
WAIT_IN_NO_CELL = "Train without a cell that waits for the end."


def deliver_where_addressed(comm: Any) -> None:
    """Deliver the messages of `comm` to the shell that they are addressed to."""
    if hasattr(comm, ROUTE):
        setattr(comm, ROUTE, _as_addressed)


def _as_addressed(data: object, addressed_to: str | None) -> str | None:
    return addressed_to


def responsiveness_note() -> str:
    """What to expect of clicks while a cell runs, judged by the kernel; empty: they work."""
    kernel = _kernel()
    if kernel is None or getattr(kernel, "_supports_kernel_subshells", False):
        return ""
    return _waits_for_cell()


def responsiveness_note_for_message() -> str:
    """The same, judged by the thread that handles a message from the browser, which calls this.

    A front end that does not know subshells sends everything to the main thread.
    """
    if _kernel() is not None and threading.current_thread() is threading.main_thread():
        return _waits_for_cell()
    return ""


def _waits_for_cell() -> str:
    import ipykernel

    handles_awaiting = ipykernel.version_info[:2] >= (7, 4)  # type: ignore[attr-defined]
    return WAITS_FOR_CELL.format(instead=AWAIT if handles_awaiting else WAIT_IN_NO_CELL)


def _kernel() -> Any:
    kernelbase = sys.modules.get("ipykernel.kernelbase")
    if kernelbase is None or not kernelbase.Kernel.initialized():
        return None
    return kernelbase.Kernel.instance()

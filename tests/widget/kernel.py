"""A real IPython kernel in its own process, and a front end that talks to it as JupyterLab does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).resolve().parents[2]

PATIENCE = 120.0
"""Seconds for what may include the import of transformer_lens on a busy machine."""


class Kernel:
    """Cells are run with `run`; everything that the kernel publishes is kept in `seen`."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(ROOT), env={**os.environ, "OMP_NUM_THREADS": "1"})
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        self.seen: list[tuple[float, dict[str, Any]]] = []
        """Arrival time (monotonic) and message."""

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def begin(self, code: str) -> str:
        """Run a cell without waiting for it; returns the id of the request."""
        return str(self._client.execute(code))

    def run(self, code: str) -> str:
        """What a cell prints. Raises `AssertionError` with the traceback if it fails."""
        return self._output(self.begin(code))

    def run_cell(self, code: str, cell: str, deleted: Sequence[str] = ()) -> str:
        """`run` as JupyterLab does it, which names the cell; empty: as others do.

        `deleted`: cells that a person deleted since.
        """
        message = self._client.session.msg("execute_request", {"code": code, "silent": False})
        message["content"]["store_history"] = True
        if cell:
            message["metadata"] = {"cellId": cell, "deletedCells": list(deleted)}
        self._client.shell_channel.send(message)
        return self._output(message["header"]["msg_id"])

    def _output(self, request: str) -> str:
        start = len(self.seen)
        self.until(lambda message: is_idle(message, request))
        outputs = [m for _, m in self.seen[start:] if m["parent_header"].get("msg_id") == request]
        for message in outputs:
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
        return "".join(
            m["content"]["text"]
            for m in outputs
            if m["msg_type"] == "stream" and m["content"]["name"] == "stdout"
        ).strip()

    def until(self, holds: Callable[[dict[str, Any]], bool], patience: float = PATIENCE) -> float:
        """Read what the kernel publishes up to the first message for which `holds` is true.

        Returns when it arrived, in seconds of the monotonic clock.
        """
        end = time.monotonic() + patience
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                raise AssertionError("the kernel did not publish what was waited for") from None
            now = time.monotonic()
            self.seen.append((now, message))
            if holds(message):
                return now

    def interrupt(self) -> None:
        """The notebook's stop button."""
        self._manager.interrupt_kernel()

    def create_subshell(self) -> str:
        """A thread for messages that are addressed to it, as JupyterLab makes for widgets."""
        return str(self._control("create_subshell_request", {})["subshell_id"])

    def delete_subshell(self, subshell: str) -> None:
        self._control("delete_subshell_request", {"subshell_id": subshell})

    def _control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        self._client.control_channel.send(self._client.session.msg(kind, content))
        reply: dict[str, Any] = self._client.get_control_msg(timeout=PATIENCE)["content"]
        assert reply["status"] == "ok", reply
        return reply

    def send_to_widget(self, comm_id: str, data: dict[str, Any], subshell: str | None) -> None:
        """What the browser sends when something happens in a widget."""
        message = self._client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def click(self, comm_id: str, command: str, subshell: str | None) -> None:
        content = {"type": "command", "command": command}
        self.send_to_widget(comm_id, {"method": "custom", "content": content}, subshell)


def is_idle(message: dict[str, Any], request: str) -> bool:
    """Whether the kernel says that it has finished `request`."""
    return (
        message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
        and message["parent_header"].get("msg_id") == request
    )


def update_of(message: dict[str, Any], comm_id: str) -> dict[str, Any]:
    """The traits of a widget that a message brings to the browser."""
    if message["msg_type"] != "comm_msg" or message["content"]["comm_id"] != comm_id:
        return {}
    state: dict[str, Any] = message["content"]["data"].get("state", {})
    return state


def shows_state(comm_id: str, state: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a message makes the panel's status line show `state`."""
    return lambda message: update_of(message, comm_id).get("status", {}).get("state") == state

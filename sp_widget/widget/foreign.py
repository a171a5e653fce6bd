"""Messages of the browser to the widgets of ipywidgets and bqplot that stand beside ours.

ipywidgets answers a value of the wrong type with a traceback. What the browser sends to a box, a
layout or a mark of the chart comes here first (`lifetime.hold_weakly`): a value that its trait
refuses is dropped with a line in the log. Nothing of the widgets' classes is changed.
"""

from __future__ import annotations

from typing import Any

from ipywidgets import Widget

from sp_widget.widget.message import log_dropped, message_problem


def handle_message(widget: Widget, message: dict[str, Any]) -> None:
    """Let a widget that is not ours answer the browser."""
    data = message["content"].get("data")
    problem = message_problem(data)
    if problem:
        log_dropped(widget, problem, data)
        return
    match data:
        case {"method": "update", "state": state}:
            for name, value in state.items():
                try:
                    widget.set_state({name: value})
                # Each trait reads and checks its values in its own way.
                except Exception:
                    log_dropped(widget, "a value of another kind", {name: value})
        # What a mark says of the pointer.
        case {"method": "request_state"} | {"content": {"event": str()}}:
            widget._handle_msg(message)
        case _:
            log_dropped(widget, "a message that it does not know", data)

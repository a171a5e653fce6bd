"""A message of the browser, checked before anybody looks into it."""

from __future__ import annotations

from collections.abc import Iterator

from ipywidgets import Widget

from sp_widget.widget.error_text import shortened

LONGEST = 20_000
"""Letters and values that a message from the browser may hold, many times what a person types."""


def message_problem(data: object) -> str:
    """Return why nobody can use a message of the browser; empty: it is one of ipywidgets."""
    if not _is_message(data):
        return "a message that is none of ipywidgets"
    return "a message that is too long" if _length(data) > LONGEST else ""


def log_dropped(widget: Widget, what: str, content: object) -> None:
    """Say in one line of the log that the browser sent a widget something of no use."""
    text = repr(content) if _length(content) <= LONGEST else f"{type(content).__name__}, long"
    name = type(widget).__name__
    widget.log.warning("%s dropped %s from the browser: %s", name, what, shortened(text))


def values_in(content: object) -> Iterator[object]:
    """Yield `content` and all that it holds."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)


def _is_message(data: object) -> bool:
    match data:
        case {"method": "update", "state": dict(), **others}:
            # The values that the browser sets hold no binary data.
            return not others.get("buffer_paths")
        case {"method": "custom", "content": _} | {"method": "request_state"}:
            return True
    return False


def _length(content: object) -> int:
    """Return how many letters and values there are in `content`, counted until that is too many."""
    length = 0
    for value in values_in(content):
        length += len(value) if isinstance(value, str | bytes) else 1
        if length > LONGEST:
            break
    return length

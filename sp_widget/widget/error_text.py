"""An error as a person reads it, whatever the error is: it may be anybody's."""

from __future__ import annotations

LONGEST = 600
"""Letters that are shown: more than a person reads, and little to send."""


def describe(error: BaseException) -> str:
    """Return the kind of an error and its message, cut where that is long."""
    return shortened(f"{type(error).__name__}: {_message(error)}")


def message_of(error: BaseException) -> str:
    """Return the message of an error, cut where it is long."""
    return shortened(_message(error))


def shortened(text: str) -> str:
    """Return text with its middle left out where it is longer than anybody reads."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} letters left out…] {text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as another:
        return f"(its message cannot be read: {type(another).__name__})"

"""Text of data, labels and titles, as it can be shown anywhere."""

from __future__ import annotations

MOST_LETTERS = 200
"""More have no place in the width of a page."""


def plain(text: str) -> str:
    """Return text in one line of at most `MOST_LETTERS` letters.

    What no file can hold, such as half of a surrogate pair or a control character, is a space.
    """
    text = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
    return "".join(letter if letter.isprintable() else " " for letter in text)

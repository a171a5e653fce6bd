"""Where the built JavaScript of the widgets lies."""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).parent.parent / "static"


def bundled(name: str) -> str:
    """Return the text of a built file, such as `panel.js`.

    Not its path: anywidget would let every file that it reads by itself hold all widgets that were
    ever made of it.

    Raises `FileNotFoundError` with the commands that build it: a checkout holds only the
    TypeScript, an installed wheel holds the built files.
    """
    path = _STATIC / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} has not been built. Build it in the root of the checkout with: "
            "npm --prefix js ci && npm --prefix js run build"
        )
    return path.read_text(encoding="utf-8")

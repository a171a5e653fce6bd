"""The parts of a picture."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["title", "chart", "circuit", "tables"]

PARTS: tuple[Part, ...] = get_args(Part)
"""From top to bottom."""

"""How long a run still takes."""

from __future__ import annotations

import statistics
from collections.abc import Collection

RECENT_STEPS = 31
"""Steps that the estimate looks at: enough to outvote a hiccup, few enough to follow a change."""


def estimate_seconds_left(recent_seconds: Collection[float], steps_left: int) -> float | None:
    """Median of the seconds that recent steps took, times the steps left.

    `None` when no step was made or none is left: there is nothing to estimate.
    """
    if not recent_seconds or steps_left <= 0:
        return None
    return statistics.median(recent_seconds) * steps_left

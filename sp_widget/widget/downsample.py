"""Fewer points for a line that looks the same."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

MAX_POINTS = 2000
"""Points that a line of the chart has at most: every update sends and redraws them all."""


def keep_extremes(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], max_points: int = MAX_POINTS
) -> tuple[Floats, Floats]:
    """At most `max_points` of the points `(x, y)`, in order, with every peak and every dip.

    The points are cut into buckets of equal length, from the first on, and each bucket keeps its
    lowest and its highest point; the last point of all, which a person reads as the current
    value, is kept as well. The length of a bucket is a power of two, so that most of a growing
    line stays as it is from one call to the next. Linear in the number of points.

    Args:
        x: `[n]`, ascending.
        y: `[n]`, finite.
        max_points: at least 4.
    """
    n = len(y)
    if n <= max_points:
        return x, y
    size = 4
    # Two points a bucket, and room for the last point.
    while 2 * -(-n // size) + 1 > max_points:
        size *= 2
    full = n // size * size
    buckets = y[:full].reshape(-1, size)
    starts = np.arange(0, full, size)
    chosen = [starts + buckets.argmin(axis=1), starts + buckets.argmax(axis=1)]
    if full < n:
        chosen.append(np.array([full + y[full:].argmin(), full + y[full:].argmax()]))
    chosen.append(np.array([n - 1]))
    # A flat bucket has its lowest and highest point in one place.
    indices = np.unique(np.concatenate(chosen))
    return x[indices], y[indices]

"""Fewer points for a line that looks the same.

A line is cut into buckets of equal length. Each bucket is known by its lowest point, its highest
point and its mean: the first two are what a person sees of it, the last is what smoothing needs.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

MAX_POINTS = 2000
"""Points that a line of the chart has at most: every update sends and redraws them all."""

SMALLEST_BUCKET = 4
"""Points in a bucket, at least: two buckets of fewer would hold no fewer points than they show."""


def bucket_size(n_points: int, max_points: int = MAX_POINTS) -> int:
    """Points in a bucket so that `n_points` are drawn with at most `max_points`.

    A power of two, so that most of a growing line stays as it is from one drawing to the next;
    1 if all points can be drawn. `max_points` is at least 7.
    """
    if n_points <= max_points:
        return 1
    size = SMALLEST_BUCKET
    # Two points a bucket; an incomplete one at each end, and the last point of all.
    while 2 * (n_points // size + 2) + 1 > max_points:
        size *= 2
    return size


def buckets_of_points(x: Floats, y: Floats, size: int) -> Floats:
    """Buckets of the points `(x, y)`, of which there is a multiple of `size`.

    Returns `[6, n / size]`: x and y of the lowest point, of the highest point and of the mean.
    """
    x, y = x.reshape(-1, size), y.reshape(-1, size)
    rows = np.arange(len(y))
    low, high = y.argmin(axis=1), y.argmax(axis=1)
    return np.stack(
        [x[rows, low], y[rows, low], x[rows, high], y[rows, high], x.mean(axis=1), y.mean(axis=1)]
    )


def merged_in_pairs(buckets: Floats) -> Floats:
    """Buckets of twice the length, from an even number of buckets `[6, n]`."""
    one, other = buckets[:, 0::2], buckets[:, 1::2]
    low = np.where(one[1] <= other[1], one[0:2], other[0:2])
    high = np.where(one[3] >= other[3], one[2:4], other[2:4])
    return np.concatenate([low, high, (one[4:6] + other[4:6]) / 2])


def extremes(buckets: Floats) -> tuple[Floats, Floats]:
    """`x` and `y` of the lowest and the highest point of each bucket, in order, each once."""
    low_x, low_y, high_x, high_y = buckets[:4]
    low_first = low_x <= high_x
    x = np.where(low_first, [low_x, high_x], [high_x, low_x]).T.ravel()
    y = np.where(low_first, [low_y, high_y], [high_y, low_y]).T.ravel()
    # A flat bucket has both in one place.
    once = np.diff(x, prepend=-np.inf) > 0
    return x[once], y[once]

"""One number for a whole curve: areas over the sizes of circuits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""P_i: the shares of all edges at which the MIB circuit track measures (Mueller et al. 2025)."""


def log_area(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the mean of a value over ln k, by trapezoids: from the first size k to the last.

    `sizes`: ascending, at least 1 and at least two.
    """
    return _area([math.log(size) for size in sizes], values) / math.log(sizes[-1] / sizes[0])


def acc_auc(accuracies: Sequence[float]) -> float:
    """Return the mean over ln P, by trapezoids, of the accuracies at `SHARES`."""
    return _area([math.log(share) for share in SHARES], accuracies) / math.log(1000)


def cpr(shares_kept: Sequence[float]) -> float:
    """Return MIB's circuit performance ratio: Σ (P_{i+1} - P_i) (f_i + f_{i+1}) / 2.

    `shares_kept`: the faithfulness f_i at `SHARES`.
    """
    return _area(SHARES, shares_kept)


def cmd(shares_kept: Sequence[float]) -> float:
    """Return MIB's circuit-model distance: the area of |1 - f_i| over P."""
    return _area(SHARES, [abs(1 - kept) for kept in shares_kept])


def share_kept(value: float, empty: float, whole: float) -> float:
    """Return f = (m(C) - m(∅)) / (m(M) - m(∅)); NaN where the ablation changes nothing.

    `value`, `empty`, `whole`: a metric's mean over the prompts, of the circuit, of no edge and of
    the model.
    """
    return math.nan if whole == empty else (value - empty) / (whole - empty)


def _area(places: Sequence[float], values: Sequence[float]) -> float:
    points = zip(places, values, strict=True)
    return sum((b - a) * (f + g) / 2 for (a, f), (b, g) in pairwise(points))

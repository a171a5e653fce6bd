"""A shortened line keeps what a person sees of it."""

from __future__ import annotations

import numpy as np
import pytest

from sp_widget.widget.curve import Curve
from sp_widget.widget.downsample import MAX_POINTS, keep_extremes


def noisy(n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(1.0, n + 1)
    return x, np.sin(x / 50) + np.random.default_rng(0).normal(size=n) * 0.1


@pytest.mark.parametrize("n", [0, 1, 3, 1999, 2000])
def test_a_short_line_is_left_alone(n: int) -> None:
    x, y = noisy(n)
    kept_x, kept_y = keep_extremes(x, y)
    assert kept_x.tolist() == x.tolist()
    assert kept_y.tolist() == y.tolist()


@pytest.mark.parametrize("n", [2001, 2047, 2048, 3999, 4000, 4001, 65_537, 100_000, 1_000_003])
def test_a_long_line_never_has_too_many_points_nor_far_too_few(n: int) -> None:
    kept_x, kept_y = keep_extremes(*noisy(n))
    assert len(kept_x) == len(kept_y) <= MAX_POINTS
    assert len(kept_x) > MAX_POINTS / 4


def test_points_are_points_of_the_line_in_order_with_the_last_one() -> None:
    x, y = noisy(12_345)
    kept_x, kept_y = keep_extremes(x, y)
    assert (np.diff(kept_x) > 0).all()
    assert (y[kept_x.astype(int) - 1] == kept_y).all()
    assert kept_x[-1] == x[-1]


def test_every_spike_survives_wherever_it_is() -> None:
    for at in [0, 1, 4_999, 5_000, 77_777, 99_998, 99_999]:
        y = np.zeros(100_000)
        y[at] = -3.0
        kept_x, kept_y = keep_extremes(np.arange(100_000.0), y)
        assert kept_x[kept_y == -3.0].tolist() == [at]


def test_each_bucket_keeps_its_lowest_and_highest_point() -> None:
    """By hand: 9 points, at most 7, so buckets of 4 points (0-3, 4-7, 8)."""
    y = np.array([2.0, 5.0, 1.0, 3.0, 7.0, 6.0, 8.0, 7.5, 4.0])
    kept_x, _ = keep_extremes(np.arange(9.0), y, max_points=7)
    assert kept_x.tolist() == [1, 2, 4 + 1, 4 + 2, 8]


def test_most_of_a_growing_line_stays_where_it_is() -> None:
    """Otherwise the line would shimmer at every update."""
    x, y = noisy(30_000)
    before, _ = keep_extremes(x[:29_000], y[:29_000])
    after, _ = keep_extremes(x, y)
    assert len(set(before) - set(after)) <= 2


def test_a_curve_gives_the_same_however_it_was_fed() -> None:
    x, y = noisy(5_000)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    at_once, bit_by_bit = Curve(), Curve()
    at_once.extend(points)
    for start in range(0, 5_000, 7):
        bit_by_bit.extend(points[start : start + 7])
    bit_by_bit.extend([])
    for one, other in zip(at_once.to_draw(), bit_by_bit.to_draw(), strict=True):
        assert one.tolist() == other.tolist()
    assert len(bit_by_bit) == 5_000
    assert bit_by_bit.last == y[-1]
    assert bit_by_bit.lowest == y.min()


def test_an_empty_curve_has_no_last_value() -> None:
    with pytest.raises(IndexError, match="no point"):
        _ = Curve().last

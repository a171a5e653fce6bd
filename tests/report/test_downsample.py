"""A shortened line keeps what a person sees of it."""

from __future__ import annotations

import numpy as np
import pytest

from sp_widget.report.curve import Curve, Drawing, Window
from sp_widget.report.downsample import MAX_POINTS, bucket_size, buckets_of_points, extremes


def noisy(n: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(1.0, n + 1)
    return x, np.sin(x / 50) + np.random.default_rng(0).normal(size=n) * 0.1


def curve_of(x: np.ndarray, y: np.ndarray) -> Curve:
    curve = Curve()
    curve.extend(list(zip(x.tolist(), y.tolist(), strict=True)))
    return curve


def drawing(x: np.ndarray, y: np.ndarray, window: Window | None = None) -> Drawing:
    return curve_of(x, y).to_draw(window)


@pytest.mark.parametrize("n", [0, 1, 3, 1999, 2000])
def test_a_short_line_is_left_alone(n: int) -> None:
    x, y = noisy(n)
    drawn = drawing(x, y)
    assert drawn.x.tolist() == x.tolist()
    assert drawn.y.tolist() == y.tolist()
    assert drawn.complete


@pytest.mark.parametrize("n", [2001, 2047, 2048, 3999, 4000, 4001, 65_537, 100_000, 1_000_003])
def test_a_long_line_never_has_too_many_points_nor_far_too_few(n: int) -> None:
    drawn = drawing(*noisy(n))
    assert len(drawn.x) == len(drawn.y) <= MAX_POINTS
    assert len(drawn.x) > MAX_POINTS / 4
    assert not drawn.complete


def test_points_are_points_of_the_line_in_order_with_the_last_one() -> None:
    x, y = noisy(12_345)
    drawn = drawing(x, y)
    assert (np.diff(drawn.x) > 0).all()
    assert (y[drawn.x.astype(int) - 1] == drawn.y).all()
    assert drawn.x[-1] == x[-1]


@pytest.mark.parametrize("at", [0, 1, 4_999, 5_000, 77_777, 99_998, 99_999])
@pytest.mark.parametrize("spike", [-3.0, 3.0])
def test_every_spike_survives_wherever_it_is(at: int, spike: float) -> None:
    y = np.zeros(100_000)
    y[at] = spike
    drawn = drawing(np.arange(100_000.0), y)
    assert drawn.x[drawn.y == spike].tolist() == [at]


def test_each_bucket_has_its_lowest_its_highest_and_its_mean() -> None:
    """By hand: two buckets of four points."""
    y = np.array([2.0, 5.0, 1.0, 3.0, 7.0, 6.0, 8.0, 7.0])
    buckets = buckets_of_points(np.arange(8.0), y, 4)
    assert buckets.T.tolist() == [[2, 1, 1, 5, 1.5, 2.75], [5, 6, 6, 8, 5.5, 7]]
    x, y = extremes(buckets)
    assert x.tolist() == [1, 2, 5, 6]
    assert y.tolist() == [5, 1, 6, 8]


def test_buckets_are_as_small_as_the_number_of_points_allows() -> None:
    assert [bucket_size(n, 13) for n in (13, 14, 16, 19, 20, 40)] == [1, 4, 4, 4, 8, 16]


@pytest.mark.parametrize("n", [2_500, 5_000, 12_345, 100_001])
def test_the_means_are_those_of_the_points(n: int) -> None:
    """Weighted with how many points each stands for they are the mean of all points."""
    x, y = noisy(n)
    drawn = drawing(x, y)
    size = bucket_size(n)
    in_each = np.full(len(drawn.mean_x), size)
    if n % size:
        in_each[-1] = n % size
    assert in_each.sum() == n
    np.testing.assert_allclose((in_each * drawn.mean_y).sum() / n, y.mean(), rtol=1e-9)
    np.testing.assert_allclose(drawn.mean_y[3], y[3 * size : 4 * size].mean(), rtol=1e-9)
    np.testing.assert_allclose(drawn.mean_x[3], x[3 * size : 4 * size].mean(), rtol=1e-9)


def test_most_of_a_growing_line_stays_where_it_is() -> None:
    """Otherwise the line would shimmer at every update."""
    x, y = noisy(30_000)
    before = drawing(x[:29_000], y[:29_000]).x
    after = drawing(x, y).x
    assert len(set(before) - set(after)) <= 2


def test_a_short_line_is_whole_in_any_window() -> None:
    drawn = drawing(*noisy(100), window=(3, 7))
    assert drawn.x.tolist() == list(range(1, 101))
    assert drawn.complete


def test_in_a_window_every_point_is_there_and_around_it_the_overview() -> None:
    x, y = noisy(100_000)
    curve = curve_of(x, y)
    overview, detailed = curve.to_draw(), curve.to_draw((40_000, 40_500))
    inside = (detailed.x >= 40_000) & (detailed.x <= 40_500)
    assert detailed.x[inside].tolist() == list(range(40_000, 40_501))
    assert detailed.y[inside].tolist() == y[39_999:40_500].tolist()
    assert (np.diff(detailed.x) > 0).all()
    assert (np.diff(detailed.mean_x) > 0).all()
    far = overview.x[(overview.x < 39_000) | (overview.x > 41_500)]
    assert set(far) <= set(detailed.x)
    assert len(detailed.x) <= 2 * MAX_POINTS


@pytest.mark.parametrize(
    "window", [(1, 60_000), (-5.0, 20.0), (99_990, 500_000), (300_000, 400_000), (20.5, 20.6)]
)
def test_any_window_gives_a_line_in_order_with_both_ends(window: Window) -> None:
    drawn = drawing(*noisy(100_000), window)
    assert (np.diff(drawn.x) > 0).all()
    assert drawn.x[0] < 100
    assert drawn.x[-1] == 100_000
    assert len(drawn.x) <= 2 * MAX_POINTS


def test_a_curve_gives_the_same_however_it_was_fed() -> None:
    x, y = noisy(5_000)
    points = list(zip(x.tolist(), y.tolist(), strict=True))
    at_once, bit_by_bit = curve_of(x, y), Curve()
    for start in range(0, 5_000, 7):
        bit_by_bit.extend(points[start : start + 7])
    bit_by_bit.extend([])
    one, other = at_once.to_draw(), bit_by_bit.to_draw()
    assert (one.x.tolist(), one.y.tolist()) == (other.x.tolist(), other.y.tolist())
    np.testing.assert_allclose(one.mean_y, other.mean_y, rtol=1e-12)
    assert len(bit_by_bit) == 5_000
    assert bit_by_bit.last == y[-1]
    assert bit_by_bit.lowest == y.min()


def test_a_curve_knows_the_value_at_a_point_and_none_in_between() -> None:
    curve = curve_of(np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0]))
    assert [curve.at(x) for x in (0, 1, 2, 3, 4, 5)] == [None, 10, 20, None, 40, None]


def test_an_empty_curve_has_no_last_value() -> None:
    with pytest.raises(IndexError, match="no point"):
        _ = Curve().last


class Counting(np.ndarray):
    """An array that counts what is taken out of it."""

    taken = 0

    def __getitem__(self, key: object) -> np.ndarray:
        found = np.asarray(super().__getitem__(key))
        Counting.taken += found.size
        return found


@pytest.mark.parametrize("window", [None, (40_000.0, 90_000.0)])
def test_drawing_reads_no_more_of_ten_times_as_many_points(
    window: Window | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(n: int) -> int:
        curve = curve_of(*noisy(n))
        # The points are searched by bisection, which reads a few of a view of all.
        monkeypatch.setattr(curve, "_index", lambda x, n=n: int(min(max(x - 1, 0), n)))
        for columns in (curve._points, *curve._levels):
            columns._room = columns._room.view(Counting)
        Counting.taken = 0
        curve.to_draw(window)
        return Counting.taken

    # Six numbers a bucket of two points, for the overview and for the window.
    assert 0 < taken(100_000) <= 8 * MAX_POINTS
    assert 0 < taken(1_000_000) <= 8 * MAX_POINTS


def test_appending_touches_what_is_new_however_much_there_is() -> None:
    def filled(n: int) -> int:
        curve = curve_of(*noisy(n))
        before = sum(columns.length for columns in (curve._points, *curve._levels))
        curve.extend([(float(n + i), 0.5) for i in range(1, 65)])
        return sum(columns.length for columns in (curve._points, *curve._levels)) - before

    # 64 points, and a bucket for every 4, 8, 16 … of them, at most one more for each size.
    assert filled(1_000) <= 64 + 32 + 10
    assert filled(1_000_000) <= 64 + 32 + 20

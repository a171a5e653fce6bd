"""The points of one line, growing, and those of them to draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sp_widget.report.downsample import (
    MAX_POINTS,
    SMALLEST_BUCKET,
    Floats,
    bucket_size,
    buckets_of_points,
    extremes,
    merged_in_pairs,
)

Window = tuple[float, float]
"""The first and the last `x` that somebody looks at."""


@dataclass(frozen=True)
class Drawing:
    """A line as it is drawn: its peaks and dips, and what it is smoothed from."""

    x: Floats
    y: Floats
    mean_x: Floats
    mean_y: Floats
    complete: bool
    """Every point is drawn: the means are the points themselves."""


class _Columns:
    """A `[rows, n]` array that grows by columns, in constant time a column on average."""

    def __init__(self, rows: int) -> None:
        self._room = np.empty((rows, 64))
        self.length = 0

    def append(self, columns: Floats) -> None:
        needed = self.length + columns.shape[1]
        if needed > self._room.shape[1]:
            larger = np.empty((len(self._room), 2 * needed))
            larger[:, : self.length] = self._room[:, : self.length]
            self._room = larger
        self._room[:, self.length : needed] = columns
        self.length = needed

    def between(self, start: int, stop: int) -> Floats:
        """The columns from `start` up to `stop`, or to the last one there is; not a copy."""
        return self._room[:, start : min(stop, self.length)]


class Curve:
    """Collects points and gives those to draw.

    Points are kept in buckets of 4, 8, 16 … as well, so that neither appending nor drawing takes
    longer the more points there are.
    """

    def __init__(self) -> None:
        self._points = _Columns(2)
        # The buckets of level i hold SMALLEST_BUCKET * 2**i points each.
        self._levels: list[_Columns] = []
        self.lowest = np.inf
        """Lowest value so far."""

    def __len__(self) -> int:
        return self._points.length

    @property
    def last(self) -> float:
        """The last value. Raises `IndexError` when there is none."""
        if not len(self):
            raise IndexError("the curve has no point yet")
        return float(self._points.between(len(self) - 1, len(self))[1, 0])

    def extend(self, points: Sequence[tuple[float, float]]) -> None:
        """Append points `(x, y)` with ascending `x` and finite `y`."""
        if not points:
            return
        columns = np.array(points, dtype=np.float64).T
        self._points.append(columns)
        self.lowest = min(self.lowest, float(columns[1].min()))
        self._fill_levels()

    def at(self, x: float) -> float | None:
        """The value of the point at `x`; `None` if there is no point."""
        index = self._index(x)
        if index == len(self):
            return None
        found, value = self._points.between(index, index + 1)[:, 0]
        return float(value) if found == x else None

    def latest(self, x: float) -> float | None:
        """The value of the last point that is not beyond `x`; `None` if there is no point."""
        index = self._index(x)
        if index == len(self) or self.at(x) is None:
            index -= 1
        return float(self._points.between(index, index + 1)[1, 0]) if index >= 0 else None

    def to_draw(self, window: Window | None = None) -> Drawing:
        """At most `MAX_POINTS` points, and as many more of those in a `window`.

        Every peak and every dip is among them, and the last point of all, which a person reads
        as the current value.
        """
        overview = self._drawing(0, len(self))
        if window is None or len(self) <= MAX_POINTS:
            return overview
        # Of whole buckets around the window: the line goes on beyond its edges.
        first = max(0, self._index(window[0]) - 1)
        detail = self._drawing(first, min(len(self), self._index(window[1]) + 2))
        return Drawing(
            *_spliced((overview.x, overview.y), (detail.x, detail.y)),
            *_spliced((overview.mean_x, overview.mean_y), (detail.mean_x, detail.mean_y)),
            complete=False,
        )

    def _fill_levels(self) -> None:
        level, size = 0, SMALLEST_BUCKET
        # Where a level gets no new bucket, those of longer buckets get none either.
        while (complete := len(self) // size) > self._length_of(level):
            if level == len(self._levels):
                self._levels.append(_Columns(6))
            buckets = self._levels[level]
            if level == 0:
                x, y = self._points.between(buckets.length * size, complete * size)
                buckets.append(buckets_of_points(x, y, size))
            else:
                halves = self._levels[level - 1].between(2 * buckets.length, 2 * complete)
                buckets.append(merged_in_pairs(halves))
            level, size = level + 1, 2 * size

    def _length_of(self, level: int) -> int:
        return self._levels[level].length if level < len(self._levels) else 0

    def _index(self, x: float) -> int:
        """Of the first point that is not before `x`."""
        return int(np.searchsorted(self._points.between(0, len(self))[0], x))

    def _drawing(self, start: int, stop: int) -> Drawing:
        size = bucket_size(stop - start)
        if size == 1:
            x, y = self._points.between(start, stop)
            return Drawing(x, y, x, y, complete=True)
        level = (size // SMALLEST_BUCKET).bit_length() - 1
        buckets = self._levels[level].between(start // size, stop // size)
        rest = self._points.between(stop // size * size, stop)
        if rest.size:
            buckets = np.concatenate(
                [buckets, buckets_of_points(rest[0], rest[1], rest.shape[1])], axis=1
            )
        x, y = extremes(buckets)
        last_x, last_y = self._points.between(stop - 1, stop)
        if x[-1] != last_x[0]:
            x, y = np.concatenate([x, last_x]), np.concatenate([y, last_y])
        return Drawing(x, y, buckets[4], buckets[5], complete=False)


def _spliced(
    overview: tuple[Floats, Floats], detail: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """The overview with the detail in place of what it has in the same stretch."""
    x, y = overview
    detail_x, detail_y = detail
    if not len(detail_x):
        return overview
    before, after = x < detail_x[0], x > detail_x[-1]
    return (
        np.concatenate([x[before], detail_x, x[after]]),
        np.concatenate([y[before], detail_y, y[after]]),
    )

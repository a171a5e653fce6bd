"""The points of one line, growing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sp_widget.widget.downsample import Floats, keep_extremes


class Curve:
    """Collects points and gives those to draw. Appending takes constant time on average."""

    def __init__(self) -> None:
        self._points = np.empty((2, 1024))
        self._length = 0
        self.lowest = np.inf
        """Lowest value so far."""

    def __len__(self) -> int:
        return self._length

    @property
    def last(self) -> float:
        """The last value. Raises `IndexError` when there is none."""
        if self._length == 0:
            raise IndexError("the curve has no point yet")
        return float(self._points[1, self._length - 1])

    def extend(self, points: Sequence[tuple[float, float]]) -> None:
        """Append points `(x, y)` with ascending `x`."""
        if not points:
            return
        needed = self._length + len(points)
        if needed > self._points.shape[1]:
            larger = np.empty((2, 2 * needed))
            larger[:, : self._length] = self._points[:, : self._length]
            self._points = larger
        self._points[:, self._length : needed] = np.array(points).T
        self._length = needed
        self.lowest = min(self.lowest, min(y for _, y in points))

    def to_draw(self) -> tuple[Floats, Floats]:
        """`x` and `y` of at most `MAX_POINTS` points; see `keep_extremes`."""
        x, y = self._points[:, : self._length]
        return keep_extremes(x, y)

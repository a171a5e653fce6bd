"""What the browser is given to draw, read as the browser reads it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sp_widget.widget.chart import Chart

Line = tuple[list[float], list[float]]


def unpacked(packed: bytes) -> Line:
    """Steps and values."""
    x, y = np.frombuffer(packed, dtype="<f4").reshape(2, -1)
    return x.tolist(), y.tolist()


def live_lines(chart: Chart) -> dict[str, Line]:
    """The lines of the present run by their label."""
    return {
        trace["label"]: unpacked(data["points"])
        for trace, data in zip(chart.tools.traces, chart.tools.live, strict=False)
    }


def still_lines(chart: Chart) -> dict[str, Line]:
    """The other lines by their label, and those of earlier runs by label and run."""
    traces = chart.tools.traces[len(chart.tools.live) :]
    names = [", ".join(filter(None, [trace["label"], trace["run"]])) for trace in traces]
    data: list[dict[str, Any]] = chart.tools.still
    return {name: unpacked(each["points"]) for name, each in zip(names, data, strict=True)}

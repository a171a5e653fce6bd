"""The time that the chart takes at 100,000 steps, divided by that at 1,000.

    python -m benchmarks.chart

Measured is what happens ten times a second while a training runs: the records of the time since
are taken in and drawn (packed and handed to the comm; no browser draws them). Once with all
steps in view, and once with a person who zoomed into the first half.
"""

from __future__ import annotations

import argparse
import statistics
import time

from sp_widget.methods.record import StepRecord
from sp_widget.methods.series import series_for
from sp_widget.widget.chart import Chart

SHORT, LONG = 1_000, 100_000
NEW_RECORDS = 10
"""Between two drawings, at a hundred steps a second."""


def record(step: int) -> StepRecord:
    """A step of a training whose loss falls unevenly."""
    loss = 4 / step**0.3 + step % 7 / 20
    return StepRecord(
        step=step,
        epoch=1,
        loss=loss,
        faithfulness=loss / 2,
        regularizer=loss / 20,
        validation=loss / 3,
        validation_hard=None,
        soft_edge_count=100.0,
        hard_edge_count=40 + 4_000 // step,
        accuracy=None,
        learning_rate=0.1,
        regularize_lambda=10.0,
        seconds=0.01,
    )


def milliseconds(n_steps: int, updates: int, zoomed: bool) -> float:
    """Of one update of a chart that holds `n_steps`: the median of `updates`."""
    chart = Chart(series_for(validation=True))
    chart.append([record(step) for step in range(1, n_steps + 1)])
    chart.draw()
    if zoomed:
        chart.tools.window = [1.0, n_steps / 2]
    times = []
    for _ in range(updates):
        first = chart.n_steps + 1
        new = [record(step) for step in range(first, first + NEW_RECORDS)]
        began = time.perf_counter()
        chart.append(new)
        chart.draw()
        times.append(time.perf_counter() - began)
    chart.close()
    return 1000 * statistics.median(times)


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--updates", type=int, default=50, help="updates for each figure")
    updates = parser.parse_args().updates
    for name, zoomed in [("all steps in view", False), ("zoomed into half of them", True)]:
        short, long = (milliseconds(n, updates, zoomed) for n in (SHORT, LONG))
        print(
            f"{name}: {long:.2f} ms at {LONG:,} steps / {short:.2f} ms at {SHORT:,} steps "
            f"= {long / short:.2f}"
        )


if __name__ == "__main__":
    main()

"""A run that is over, to compare another with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import LineStyle


@dataclass(frozen=True)
class PastRun:
    """A finished run, as the chart shows it beside the present one."""

    name: str
    """What the legend calls it."""
    records: Sequence[StepRecord]
    """Its steps, oldest first."""
    evaluations: Sequence[HardEvaluation] = ()
    colour: str = "#3a7ca5"
    line_style: LineStyle = "solid"
    """Runs of one colour differ in this."""

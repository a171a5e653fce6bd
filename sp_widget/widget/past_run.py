"""A run that is over, to compare another with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sp_widget.methods.record import StepRecord


@dataclass(frozen=True)
class PastRun:
    """A finished run, as the chart shows it beside the present one."""

    name: str
    """What the legend calls it."""
    records: Sequence[StepRecord]
    """Its steps, oldest first."""

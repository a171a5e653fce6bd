"""The lines of a chart of the training, live or finished: what each reads, and how it looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sp_widget.methods.record import HardEvaluation, StepRecord

LineStyle = Literal["solid", "dashed", "dotted", "dash_dotted"]
AxisName = Literal["steps", "left", "right"]

AXIS_LABELS: Mapping[AxisName, str] = {
    "steps": "Step",
    "left": "Loss and its terms",
    "right": "Edges in the circuit",
}


@dataclass(frozen=True)
class Series:
    """One line. Colours have a contrast of at least 3 : 1 with a white and with a black ground,
    and no two lines on one axis share a dash pattern, so that colour is never needed to tell
    them apart."""

    label: str
    read: Callable[[StepRecord], float | None]
    """Its value in a step; `None`: no point there."""
    axis: Literal["left", "right"]
    colour: str
    line_style: LineStyle
    stroke_width: float
    stepped: bool = False
    """Drawn as steps: the quantity is a count."""

    def points(self, records: Iterable[StepRecord]) -> list[tuple[float, float]]:
        """`(step, value)` of every record in which the line has a finite value."""
        values = ((float(record.step), self.read(record)) for record in records)
        return [(x, y) for x, y in values if y is not None and math.isfinite(y)]


def term(name: str) -> Callable[[StepRecord], float | None]:
    """Return what reads the term of this name from a record."""
    return lambda record: record.terms.get(name)


LOSS = Series("Loss", lambda r: r.loss, "left", "#2a7fd4", "solid", 2.0)
FAITHFULNESS = Series("Faithfulness", term("faithfulness"), "left", "#c4681c", "dashed", 2.0)
REGULARIZER = Series(
    "Lambda × regularizer",
    term("penalty"),
    "left",
    "#8b6fd0",
    "dotted",
    2.5,
)
VALIDATION = Series("Validation", lambda r: r.validation, "left", "#c2508c", "dash_dotted", 2.0)
EDGES = Series(
    "Edges in the circuit",
    lambda r: r.hard_edge_count,
    "right",
    "#2f8f5b",
    "solid",
    1.25,
    stepped=True,
)
HARD_CIRCUIT = Series(
    "Hard circuit, validation data",
    # Measured now and then, not in every step.
    lambda r: None,
    "left",
    "#00898f",
    "solid",
    2.5,
)
"""The faithfulness of the hard circuit on all validation data: a marker for each evaluation."""


def evaluation_points(evaluations: Iterable[HardEvaluation]) -> list[tuple[float, float]]:
    """`(step, faithfulness)` of every evaluation with a finite value."""
    points = [(float(each.step), each.faithfulness) for each in evaluations]
    return [(x, y) for x, y in points if math.isfinite(y)]

"""What a session needs of a trainer, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sp_widget.methods.record import HardEvaluation, StepRecord


class Trainer(Protocol):
    """A synchronous trainer, such as `sp_widget.SubnetworkProbing`."""

    learning_rate: float
    regularize_lambda: float

    @property
    def history(self) -> Sequence[StepRecord]:
        """The records of the steps done, oldest first."""

    @property
    def n_steps(self) -> int:
        """Steps that the whole training takes."""

    @property
    def step_count(self) -> int:
        """Steps done."""

    @property
    def done(self) -> bool:
        """Whether every step was made."""

    @property
    def prepared(self) -> bool:
        """Whether `preparation` was iterated to its end."""

    def preparation(self) -> Iterator[tuple[int, int]]:
        """Do the work before the first step, yielding (batches done, batches in all)."""

    def step(self) -> StepRecord:
        """Make one step."""

    @property
    def hard_edge_count(self) -> int:
        """Edges in the circuit when every mask is rounded."""

    @property
    def evaluations(self) -> Sequence[HardEvaluation]:
        """The hard circuit on all validation data, oldest first."""

    @property
    def best(self) -> HardEvaluation | None:
        """The evaluation whose masks are kept."""

    def evaluate(self) -> HardEvaluation:
        """Measure the hard circuit on all validation data."""

    def restore_best(self) -> HardEvaluation:
        """Go back to the masks of the best evaluation."""

    @property
    def prune_scores(self) -> Any:
        """A fresh copy of the scores; may be read between steps."""

"""What a training measured: the one record type of a step, and that of a held-out evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one optimiser step measured. All numbers are plain Python numbers.

    `loss = faithfulness + regularize_lambda * regularizer`, in the units of the chosen
    faithfulness target (see `sp_widget.circuits.metrics`).
    """

    step: int
    """Optimiser steps done, this one included: the first record has step 1."""
    epoch: int
    """Pass over the dataloader that the step belongs to, counted from 1."""
    loss: float
    """The quantity that was minimised."""
    faithfulness: float
    """The faithfulness term of the loss, with sampled masks."""
    regularizer: float
    """The sparsity term of the loss (avoided edges included) before its weight."""
    validation: float | None
    """Faithfulness on a validation batch with sampled masks; `None` without validation data."""
    validation_hard: float | None
    """Faithfulness of the *hard* circuit (masks thresholded) on the same validation batch."""
    soft_edge_count: float
    """Edges in the circuit as the regularizer counts them: a sum of mask values."""
    hard_edge_count: int
    """Edges in the circuit when every mask is rounded to 0 or 1."""
    accuracy: float | None
    """Share of prompts whose argmax is the answer; only with target `correct_percent`."""
    learning_rate: float
    """Adam's learning rate in this step."""
    regularize_lambda: float
    """Weight of the regularizer in this step."""
    seconds: float
    """Wall time of the step."""

    def to_dict(self) -> dict[str, float | int | None]:
        """The record as a plain dictionary, in field order."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class HardEvaluation:
    """The hard circuit on *all* validation batches, after a step.

    Its objective is the loss with nothing sampled: `faithfulness + regularize_lambda *
    regularizer`.
    """

    step: int
    """Optimiser steps done when it was measured."""
    edges: int
    """Edges in the hard circuit."""
    faithfulness: float
    """Its faithfulness: the mean over all validation prompts, in the units of the target."""
    regularizer: float
    """The sparsity term of the loss for exactly these edges, before its weight."""

    def objective(self, regularize_lambda: float) -> float:
        """What the best circuit has least of."""
        return self.faithfulness + regularize_lambda * self.regularizer

    def to_dict(self) -> dict[str, float | int]:
        """The evaluation as a plain dictionary, in field order."""
        return asdict(self)

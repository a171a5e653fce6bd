"""What a method measured: the one record type of a step, and that of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What one step measured. All numbers are plain Python numbers.

    What is special to a method stands in `terms` and can be read as an attribute too:
    `record.faithfulness` is `record.terms["faithfulness"]`.
    """

    step: int
    """Steps done, this one included: the first record has step 1."""
    epoch: int
    """Pass over the dataloader that the step belongs to, counted from 1."""
    loss: float
    """The quantity that was minimised, or measured where nothing is."""
    hard_edge_count: int
    """Edges in the hard circuit after the step."""
    seconds: float
    """Wall time of the step."""
    processor_seconds: float = 0.0
    """Time of the processor that the process took meanwhile, all of its threads together: what else
    the machine does changes it least. 0 in a run of a version that did not measure it."""
    validation: float | None = None
    """Faithfulness on a validation batch with sampled masks; `None` without validation data."""
    validation_hard: float | None = None
    """Faithfulness of the *hard* circuit on the same validation batch."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """The terms of the loss and the settings of the step, by the method's names."""

    def __getattr__(self, name: str) -> float:
        # Only called where there is no field of this name.
        if not name.startswith("_") and name in self.terms:
            return self.terms[name]
        raise AttributeError(f"this step has no {name!r}; it has {sorted(self.to_dict())}")

    def to_dict(self) -> dict[str, Any]:
        """Return the record as a plain flat dictionary, the method's terms behind the others."""
        common = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "terms"}
        return {**common, **self.terms}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StepRecord:
        """Return the record that `to_dict` wrote."""
        common = {f.name for f in fields(cls) if f.name != "terms"}
        terms = {name: value for name, value in values.items() if name not in common}
        return cls(**{name: values[name] for name in common if name in values}, terms=terms)


@dataclass(frozen=True, slots=True)
class HardEvaluation:
    """The hard circuit on *all* validation batches, after a step."""

    step: int
    """Steps done when it was measured."""
    edges: int
    """Edges in the hard circuit."""
    faithfulness: float
    """Its faithfulness: the mean over all validation prompts, in the units of the target."""
    regularizer: float = 0.0
    """The sparsity term of the loss for exactly these edges, before its weight; 0 for a method
    that has none."""

    def objective(self, regularize_lambda: float = 0.0) -> float:
        """Return what the best circuit has least of."""
        return self.faithfulness + regularize_lambda * self.regularizer

    def to_dict(self) -> dict[str, float | int]:
        """Return the evaluation as a plain dictionary, in field order."""
        return asdict(self)


def validation_problem(record: StepRecord, evaluations: Sequence[HardEvaluation]) -> str:
    """Return what to say if the validation of a step is NaN or infinite; otherwise nothing.

    `evaluations`: those up to this step, oldest first.
    """
    values = [record.validation, record.validation_hard]
    values += [each.faithfulness for each in evaluations[-1:]]
    if all(value is None or math.isfinite(value) for value in values):
        return ""
    return (
        f"The validation data gave NaN or infinity at step {record.step:,}, although the loss of "
        "the training is finite: on some of its prompts the faithfulness target has no value."
    )

"""The best evaluation of a run so far, with what it was made with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sp_widget.methods.record import HardEvaluation


@dataclass(frozen=True)
class Best:
    """The evaluation with the lowest objective so far, and what the trainer had then.

    A live change of a weight changes the objective; both sides of a comparison then take the new
    one.
    """

    evaluation: HardEvaluation | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def or_better(
        self,
        evaluation: HardEvaluation,
        tensors: Mapping[str, Tensor],
        objective: Callable[[HardEvaluation], float],
    ) -> Best:
        """Return `evaluation` with a copy of `tensors` if it is better, otherwise this one.

        On a tie the earlier one stays.
        """
        # A NaN is never below anything.
        limit = math.inf if self.evaluation is None else objective(self.evaluation)
        if not objective(evaluation) < limit:
            return self
        return Best(evaluation, {name: value.detach().clone() for name, value in tensors.items()})

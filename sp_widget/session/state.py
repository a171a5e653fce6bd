"""The states of a session, and a picture of it at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sp_widget.methods.record import HardEvaluation, StepRecord

State: TypeAlias = Literal[
    "idle", "preparing", "running", "paused", "stopping", "done", "stopped", "failed"
]
"""`idle` before the start; `preparing` while clean logits and patch activations are computed;
`stopping` between Stop and the end of the step in progress; the last three are ends."""

ACTIVE: frozenset[State] = frozenset({"preparing", "running", "paused", "stopping"})
"""States in which a training thread owns the trainer."""

ENDED: frozenset[State] = frozenset({"done", "stopped", "failed"})
"""States that only a reset leaves."""


@dataclass(frozen=True, slots=True)
class Intervention:
    """What was done to a run on its way; needed to repeat it."""

    step: int
    """Steps done at that time."""
    action: str
    """The live setting that was changed, or `evaluate`, or `restore_best`; or `threads`, where the
    run went on with a number of threads of its own."""
    value: float | None = None
    """The new value of the setting, or the number of threads; `None` for the other actions."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment. Immutable, so any thread may keep and read it."""

    state: State
    run: int
    """How many runs were started: a reader that sees it change starts its history anew."""
    step: int
    """Steps done."""
    n_steps: int
    """Steps that the whole run takes; 0 before the first step was asked for."""
    record: StepRecord | None
    """The last step."""
    preparation: tuple[int, int] | None
    """Batches prepared and batches in all, while preparing."""
    seconds_left: float | None
    """An estimate: median time of the recent steps times the steps left. `None` before the
    first step and after the end."""
    error: BaseException | None
    """What ended the run in state `failed`."""
    evaluations: tuple[HardEvaluation, ...] = ()
    """The hard circuit on all validation data, oldest first."""
    best: HardEvaluation | None = None
    """The one of them whose masks can be restored."""
    interventions: tuple[Intervention, ...] = ()
    """What was done to the run, in order."""
    validation_problem: str = ""
    """What to say if the validation data once gave NaN or infinity; the training goes on."""
    threads: int | None = None
    """How many threads the operations of the run use; `None` before that is known."""
    saving_problem: str = ""
    """Why the run could not be saved in its folder; the training goes on."""
    threads_note: str = ""
    """What to set where threads cost time; empty: nothing."""

    @property
    def masks(self) -> tuple[int, int, int]:
        """Changes whenever the masks do: run, steps done, times that masks were restored."""
        restored = sum(done.action == "restore_best" for done in self.interventions)
        return self.run, self.step, restored

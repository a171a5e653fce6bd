"""The states of a session, what leads from one to another, and a picture of it at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sp_widget.errors import StateError
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

Action: TypeAlias = Literal[
    "start", "step", "pause", "resume", "stop", "reset", "change", "restore_best"
]
"""What a person can do to a run and a state may forbid."""

Cause: TypeAlias = Action | Literal["training"]
"""What changes a state: a person's action, or the training by itself."""

TABLE: Mapping[State, Mapping[Cause, tuple[State, ...]]] = {
    "idle": {
        "start": ("preparing",),
        "step": ("preparing",),
        "reset": ("idle",),
    },
    "preparing": {
        "pause": ("preparing",),
        "resume": ("preparing",),
        "stop": ("stopping",),
        "change": ("preparing",),
        "training": ("running", "paused", "done", "stopped", "failed"),
    },
    "running": {
        "pause": ("running",),
        "resume": ("running",),
        "stop": ("stopping",),
        "change": ("running",),
        "training": ("paused", "done", "stopped", "failed"),
    },
    "paused": {
        "step": ("paused",),
        "pause": ("paused",),
        "resume": ("paused",),
        "stop": ("stopping",),
        "reset": ("idle",),
        "change": ("paused",),
        "restore_best": ("paused",),
        "training": ("preparing", "running", "done", "stopped", "failed"),
    },
    "stopping": {"training": ("done", "stopped", "failed")},
    "done": {"reset": ("idle",), "restore_best": ("done",)},
    "stopped": {"reset": ("idle",), "restore_best": ("stopped",)},
    "failed": {"reset": ("idle",), "restore_best": ("failed",)},
}
"""State and cause to the states that may follow at once; where there is none, it is not allowed.

A pause, a resume and a step are wishes: they leave the state as it is, and the training changes it
when it takes them up, between two steps or two prepared batches."""

TAKES_BACK: Mapping[Action, frozenset[State]] = {
    "pause": frozenset({"paused"}),
    "resume": frozenset({"preparing", "running"}),
}
"""Where an action is only allowed to take back a wish that the training has not taken up yet."""

_IN_WORDS: Mapping[Action, str] = {"restore_best": "restore the best masks"}


def check_action(state: State, action: Action, *, wish: bool = False) -> None:
    """Raise `StateError` unless `action` is allowed in `state`.

    `wish`: whether there is one that the training has not taken up yet.
    """
    if action in TABLE[state] and (wish or state not in TAKES_BACK.get(action, ())):
        return
    words = _IN_WORDS.get(action, action)
    if state == "idle":
        raise StateError(f"cannot {words}: nothing was started")
    hint = "; reset it first" if action == "start" else ""
    raise StateError(f"cannot {words}: the run is {state}{hint}")


def check_next(state: State, cause: Cause, after: State) -> None:
    """Raise `RuntimeError` where `cause` never leads from `state` to `after`: that is a bug."""
    if after not in TABLE[state].get(cause, ()):
        raise RuntimeError(f"{cause} leads from {state} to {after}")


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

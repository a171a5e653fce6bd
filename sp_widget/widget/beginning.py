"""What a run began with: enough to keep it after a reset, and to write it as code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sp_widget.methods.base import MethodConfig
from sp_widget.methods.run_files import Moment
from sp_widget.runs.status import RunStatus
from sp_widget.session import ENDED, Snapshot
from sp_widget.widget.as_code import Names, as_code
from sp_widget.widget.runs import FinishedRun


@dataclass(frozen=True)
class Beginning:
    """Immutable: whoever holds one has config and seed of the same run."""

    config: MethodConfig
    """As the panel had it."""
    seed: int | None
    """The seed that was used, also where nobody had chosen one."""

    @property
    def repeatable(self) -> MethodConfig:
        """The config with the seed that was used."""
        return replace(self.config, seed=self.seed)

    def finished_run(
        self, snapshot: Snapshot, moment: Moment, status: RunStatus, folder: Path | None
    ) -> FinishedRun:
        """The run as it is kept; `Runs.keep` gives it its number and name."""
        return FinishedRun(
            number=0,
            name="",
            config=self.repeatable,
            seed_was_drawn=self.config.seed is None,
            evaluations=snapshot.evaluations,
            interventions=snapshot.interventions,
            masks=snapshot.masks,
            moment=moment,
            # A reset is its end, also where it was paused.
            status=replace(status, state="stopped") if status.state == "paused" else status,
            folder=folder,
        )

    def as_code(self, snapshot: Snapshot, names: Names) -> str:
        """Python that repeats the run as far as `snapshot`, if it halted there."""
        halted = snapshot.state in ("paused", *ENDED) and 0 < snapshot.step < snapshot.n_steps
        return as_code(
            self.repeatable,
            names,
            interventions=snapshot.interventions,
            stopped_at=snapshot.step if halted else None,
        )

"""The circuit view while a training goes on: the scores follow it, without holding it up."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias

from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import StateError
from sp_widget.methods.base import Trainer
from sp_widget.session import ENDED, Session, Snapshot
from sp_widget.types import AblationType, PatchType
from sp_widget.widget.circuit import CircuitView

SECONDS_BETWEEN_PICTURES = 1.0
SECONDS_AT_A_PAUSE = 0.3
"""Between two pictures when a person makes single steps."""
SHARE_OF_TIME = 0.03
"""Of the time that may go into reading and sending scores, where they are many."""
BYTES_PER_SECOND = 2_000_000
"""Sent to the browser at most, on average."""


@dataclass(frozen=True)
class Reading:
    """The scores between two steps, and how the circuits of the run are run."""

    scores: PruneScores
    edges: int
    """Of the circuit as the training counts them."""
    patch_type: PatchType
    ablation_type: AblationType
    seconds: float
    """What it took to read them."""


Shown: TypeAlias = tuple[tuple[int, int, int], Reading]
"""Scores with the `Snapshot.masks` that they are of."""


class LiveCircuit:
    """Brings the scores of a session's run into a circuit view.

    The training thread itself reads the scores, between two steps: whoever else did would read
    them in the middle of one. Nobody waits for it; `wake` is called when they are there. Used by
    one thread at a time.
    """

    def __init__(self, view: CircuitView, session: Session, wake: Callable[[], None]) -> None:
        self.view = view
        self._session = session
        self._wake = wake
        self._shown: tuple[int, int, int] | None = None
        """`Snapshot.masks` of what the view shows; `None`: no scores."""
        self._asked: tuple[tuple[int, int, int], Future[Reading]] | None = None
        self._due = 0.0
        self.shown: Shown | None = None
        """What the view shows; `None`: no scores."""

    def follow(self, snapshot: Snapshot) -> float | None:
        """Show the scores of `snapshot`, or go a step towards it.

        Returns the seconds after which to call it again; `None`: when something changes.
        """
        run = None if snapshot.state == "idle" else snapshot.run
        if self._asked is not None and self._asked[0][0] != run:
            self._asked = None
        if self._shown is not None and self._shown[0] != run:
            self._shown, self._due, self.shown = None, 0.0, None
            self.view.clear()
        self._show_answer()
        if run is None or snapshot.step == 0 or self._asked or self._shown == snapshot.masks:
            return None
        # The last state never waits.
        if snapshot.state not in ENDED:
            pause = SECONDS_BETWEEN_PICTURES - SECONDS_AT_A_PAUSE
            wait = self._due - time.monotonic() - (pause if snapshot.state == "paused" else 0)
            if wait > 0:
                return wait
        self._ask(snapshot)
        self._show_answer()
        return None

    def _ask(self, snapshot: Snapshot) -> None:
        try:
            answer = self._session.post(_read)
        except StateError:
            return  # Reset meanwhile, which wakes us again.
        self._asked = snapshot.masks, answer
        answer.add_done_callback(lambda _: self._wake())

    def _show_answer(self) -> None:
        if self._asked is None or not self._asked[1].done():
            return
        (masks, answer), self._asked = self._asked, None
        began = time.monotonic()
        reading = answer.result()
        self.view.show_scores(reading.scores, reading.edges)
        self._shown, self.shown = masks, (masks, reading)
        cost = reading.seconds + time.monotonic() - began
        self._due = began + max(
            SECONDS_BETWEEN_PICTURES,
            cost / SHARE_OF_TIME,
            len(self.view.scores) / BYTES_PER_SECOND,
        )


def _read(trainer: Trainer[Any]) -> Reading:
    began = time.monotonic()
    scores, edges = trainer.prune_scores, trainer.hard_edge_count
    return Reading(
        scores=scores,
        edges=edges,
        patch_type=trainer.patch_type,
        ablation_type=trainer.config.ablation_type,
        seconds=time.monotonic() - began,
    )

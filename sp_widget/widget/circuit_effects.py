"""What the circuit in view loses, measured beside the work of the kernel."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from jaxtyping import Bool
from torch import Tensor

from sp_widget.evaluation.circuit_meter import CircuitMeter
from sp_widget.widget.error_text import describe
from sp_widget.widget.publisher import Publisher

if TYPE_CHECKING:
    from sp_widget.widget.circuit import CircuitView

SECONDS_BETWEEN_ANSWERS = 0.02
SECONDS_TO_END_AT_EXIT = 10.0

METRICS = {"kl_div": "KL", "mse": "MSE"}
"""As the browser writes them."""

NO_PROMPTS = "No prompts to measure on: give CircuitView a dataloader."

log = logging.getLogger(__name__)


class MeasuredData(TypedDict):
    """What was measured last."""

    key: str
    """Of which circuit: its size by the slider, and the switches, between spaces."""
    metric: str
    circuit: float | None
    """What the circuit in view loses; `None`: not measured yet."""
    unedited: float | None
    """What that of the slider loses, without the switches."""
    edge: str
    """The edge that was asked for; empty: none."""
    other: float | None
    """What the circuit loses with that edge switched as well."""
    note: str
    """Why nothing is measured; empty: it is, or will be."""


NOT_MEASURED = MeasuredData(
    key="", metric="", circuit=None, unedited=None, edge="", other=None, note=NO_PROMPTS
)


@dataclass(frozen=True)
class Question:
    """The circuits that are to be measured."""

    key: str
    scores: bytes
    """From which they are cut."""
    circuit: Bool[Tensor, " edges"]
    unedited: Bool[Tensor, " edges"]
    edge: str
    other: Bool[Tensor, " edges"] | None
    """The circuit with that edge switched."""

    @property
    def circuits(self) -> list[Bool[Tensor, " edges"]]:
        """All of them, those first that a person waits for."""
        return [self.circuit, *([] if self.other is None else [self.other]), self.unedited]


class CircuitEffects:
    """Answers the questions of a circuit view on a thread of its own, the latest alone.

    Between two circuits it looks again what is asked, so that no question of a moment ago holds up
    the present one.
    """

    def __init__(self, view: CircuitView) -> None:
        self._view = view
        self._meter: CircuitMeter | None = None
        self._rests: Callable[[], str] = str
        self._publisher = Publisher(self._answer, SECONDS_BETWEEN_ANSWERS)
        self._working = threading.Lock()
        self._closed = False

    def measure_with(self, meter: CircuitMeter) -> None:
        """Measure with this from now on."""
        self._meter = meter
        self._view.update(measured=MeasuredData(**{**NOT_MEASURED, "note": ""}))
        self.look()

    def rest_while(self, reason: Callable[[], str]) -> None:
        """Measure nothing while `reason` returns a sentence, which is shown."""
        self._rests = reason

    def look(self) -> None:
        """Something may have changed. Returns at once; may be called from any thread."""
        asked = self._view.switches or self._view.asked
        if asked and self._meter is not None and not self._closed:
            self._publisher.wake()

    def close(self) -> None:
        """End after the circuit at work."""
        self._closed = True
        self._publisher.close()

    def _answer(self) -> float | None:
        question, meter = self._view.question(), self._meter
        if question is None or meter is None or self._closed:
            return None
        note = self._rests()
        missing = [each for each in question.circuits if meter.known(each) is None]
        if missing and not note:
            try:
                self._measure(meter, missing[0])
            except Exception as error:
                log.exception("A circuit could not be measured")
                note = describe(error)
        other = question.other
        measured = MeasuredData(
            key=question.key,
            metric=METRICS[meter.metric],
            circuit=meter.known(question.circuit),
            unedited=meter.known(question.unedited),
            edge=question.edge,
            other=None if other is None else meter.known(other),
            note=note,
        )
        self._view.answer(question, measured)
        return 0.0 if missing[1:] and not note else None

    def _measure(self, meter: CircuitMeter, circuit: Bool[Tensor, " edges"]) -> None:
        with self._working:
            # No thread may be inside torch when the process ends.
            atexit.register(self._finish)
            try:
                meter.measure(circuit)
            finally:
                atexit.unregister(self._finish)

    def _finish(self) -> None:
        self.close()
        if self._working.acquire(timeout=SECONDS_TO_END_AT_EXIT):
            self._working.release()

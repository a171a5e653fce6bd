"""The faithfulness curve of a session's runs, measured on a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import StateError
from sp_widget.evaluation.evaluate import EvaluationInParts
from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.methods.base import Trainer
from sp_widget.methods.faithfulness_curve import spread_sizes
from sp_widget.methods.mask_training import target_for
from sp_widget.session.background_work import BackgroundWork
from sp_widget.session.session import Session
from sp_widget.session.state import ENDED
from sp_widget.types import AblationType, PatchType

THREAD_NAME = "sp-widget-evaluation"

N_SIZES = 12
N_RANDOM = 5
N_PROMPTS = 32
"""Few enough that a small model is measured within two seconds."""

Masks: TypeAlias = tuple[int, int, int]
"""`Snapshot.masks`: which masks of which run."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredRun:
    """The scores of a run, measured."""

    evaluation: Evaluation
    """On the validation prompts, or on those of the training where there are no others."""
    on_training: Evaluation | None
    """The circuit of the run on training prompts; `None` where `evaluation` is on those."""


@dataclass(frozen=True)
class _Question:
    """What is measured: read from the trainer between two steps."""

    scores: PruneScores
    size: int
    ablation: AblationType
    patch_type: PatchType


class BackgroundEvaluation:
    """Measures the scores of each run when it ends, and those of a paused run when asked to.

    It uses no trainer but to read its scores, and rests between two circuits while a run is under
    way: a training is not slowed down. Its methods may be called from any thread and return at
    once, but for `wait`.

    Args:
        session: Whose runs are measured, in the direction and with the ablation of the run.
        validation_dataloader: The prompts to measure on; `None`: those of the training.
        changed: Called after every change, from any thread; must be quick.
    """

    def __init__(
        self,
        session: Session,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None,
        changed: Callable[[], None],
    ) -> None:
        self._session = session
        self._model = model
        self._dataloader = dataloader
        self._validation_dataloader = validation_dataloader
        self._changed = changed
        self._thread = BackgroundWork(THREAD_NAME, session, self._work)
        # Guards all that follows.
        self._lock = self._thread.lock
        self._measured: dict[Masks, MeasuredRun] = {}
        self._wanted: list[Masks] = []
        """What is to be measured, the one at work first."""
        self._seen: Masks | None = None
        """Of the last run that ended: it is measured once by itself."""
        self._done: tuple[int, int] = (0, 0)

    @property
    def measured(self) -> Mapping[Masks, MeasuredRun]:
        """All that was measured so far; a copy."""
        with self._lock:
            return dict(self._measured)

    @property
    def progress(self) -> tuple[int, int] | None:
        """Circuits that are measured, and circuits in all; `None`: nothing is under way."""
        with self._lock:
            return self._done if self._wanted else None

    def look(self) -> None:
        """Measure the run if it has ended and was not measured yet: a listener of the session."""
        snapshot = self._session.snapshot()
        with self._lock:
            self._lock.notify_all()
            if snapshot.state not in ENDED or not snapshot.step or self._seen == snapshot.masks:
                return
            self._seen = snapshot.masks
        self._want(snapshot.masks)

    def measure(self) -> None:
        """Measure the present scores. Raises `StateError` unless the run is paused or over."""
        snapshot = self._session.snapshot()
        if snapshot.state not in ("paused", *ENDED) or not snapshot.step:
            raise StateError(f"cannot measure the faithfulness: the run is {snapshot.state}")
        self._want(snapshot.masks)

    def wait(self) -> None:
        """Wait until nothing is under way."""
        with self._lock:
            self._lock.wait_for(lambda: not self._wanted or self._thread.closed)

    def close(self) -> None:
        """End after the circuits at work."""
        self._thread.close()

    def _want(self, masks: Masks) -> None:
        with self._lock:
            if self._thread.closed or masks in self._wanted or masks in self._measured:
                return
            self._wanted.append(masks)
            self._done = self._done if len(self._wanted) > 1 else (0, 0)
            self._thread.begin()
        self._changed()

    # The thread.

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or self._thread.closed:
                    self._wanted.clear()
                    self._thread.end()
                    return
                masks = self._wanted[0]
            found = None
            try:
                found = self._measure(masks)
            except StateError:
                pass  # Reset or changed before its scores were read: nobody misses the curve.
            except Exception:
                log.exception("The faithfulness of a run could not be measured")
            with self._lock:
                self._wanted.remove(masks)
                if found is not None:
                    self._measured[masks] = found
                self._lock.notify_all()
            self._changed()

    def _measure(self, masks: Masks) -> MeasuredRun | None:
        """Return what was measured; `None`: closed meanwhile."""
        asked = self._session.post(_read).result()
        if self._session.snapshot().masks != masks:
            raise StateError("the scores are those of another step")
        validation = self._validation_dataloader
        loader = self._dataloader if validation is None else validation
        n_edges = self._model.n_edges
        sizes = sorted({*spread_sizes(n_edges, N_SIZES), asked.size})
        making = [self._evaluation(loader, asked, sizes, complement=True, random=N_RANDOM)]
        if validation is not None:
            making.append(
                self._evaluation(self._dataloader, asked, [asked.size], complement=False, random=0)
            )
        total = sum(each.n_circuits for each in making)
        done = 0
        for n_done in _in_turn(making):
            done += n_done
            with self._lock:
                self._done = (done, total)
            self._changed()
            if not self._may_go_on():
                return None
        first, *others = (each.evaluation for each in making)
        return MeasuredRun(first, others[0] if others else None)

    def _evaluation(
        self,
        loader: PromptDataLoader,
        asked: _Question,
        sizes: list[int],
        *,
        complement: bool,
        random: int,
    ) -> EvaluationInParts:
        return EvaluationInParts(
            self._model,
            loader,
            asked.scores,
            sizes,
            asked.ablation,
            complement=complement,
            random=random,
            metrics=["mse" if target_for(loader) == "mse" else "kl_div"],
            patch_type=asked.patch_type,
            seed=0,
            within_layers=False,
            n_prompts=N_PROMPTS,
        )

    def _may_go_on(self) -> bool:
        """Rest while a run is under way. False: closed."""

        def ready() -> bool:
            return self._thread.closed or self._session.state in ("idle", "paused", *ENDED)

        with self._lock:
            self._lock.wait_for(ready)
            return not self._thread.closed


def _read(trainer: Trainer[Any]) -> _Question:
    return _Question(
        scores=trainer.prune_scores,
        size=trainer.hard_edge_count,
        ablation=trainer.config.ablation_type,
        patch_type=trainer.patch_type,
    )


def _in_turn(making: list[EvaluationInParts]) -> Iterator[int]:
    for each in making:
        yield from each.parts()

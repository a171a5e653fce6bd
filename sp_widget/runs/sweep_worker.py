"""Make one point of a sweep, in whatever process: its run, and how good its scores are."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sp_widget.checked_files import read_json
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, StateError
from sp_widget.evaluation.evaluate import evaluate
from sp_widget.evaluation.evaluation import AREAS
from sp_widget.evaluation.model_factory import Made, ModelFactory, made_by
from sp_widget.evaluation.roc import auroc
from sp_widget.evaluation.stability import bootstrap_sample
from sp_widget.files import write_atomically
from sp_widget.folder_lock import FolderLock
from sp_widget.methods.faithfulness_curve import sizes_of
from sp_widget.methods.fingerprint import (
    fingerprint_of_graph,
    fingerprint_of_prompts,
    fingerprint_of_weights,
)
from sp_widget.methods.record import StepRecord
from sp_widget.methods.run_files import CONFIG, exists
from sp_widget.runs.folder import RunFolder
from sp_widget.runs.point import Point
from sp_widget.runs.run_to_end import run_in_folder
from sp_widget.runs.status import status_now, write_status
from sp_widget.types import AblationType

SWEEP = "sweep.json"
SWEEP_FORMAT = "sp_widget sweep 1"

SECONDS_BETWEEN_LOOKS = 0.5
"""Whether the sweep is cancelled: the folder may lie on another machine."""


class CancelledError(BaseException):
    """The sweep is cancelled: the run pauses as it does after an interrupt."""


@dataclass(frozen=True)
class Job:
    """One point to be made: what is sent to an executor. Its outcome is in the folder."""

    folder: str
    """Of the sweep."""
    point: Point
    model_factory: ModelFactory
    cancelled: str
    """A file that is there if nobody wants this any more. No two calls of `sweep` have the same."""
    threads: int
    validate: bool = True
    """Whether the training gets the validation prompts too."""

    def __call__(self) -> None:
        """Make the run to its end, from wherever it stands, and evaluate it.

        What fails is written into the status of the run. Where another process makes it already,
        it is left to that one.
        """
        folder = Path(self.folder, self.point.name)
        try:
            with _torch_threads(self.threads):
                self._make(folder)
        except CancelledError:
            return
        except Exception as error:
            _write_failure(folder, error)

    def _make(self, folder: Path) -> None:
        self._check_wanted()
        made = made_by(self.model_factory, self.cancelled)
        model, dataloader, validation, official_edges = made
        _check_same(Path(self.folder), made)
        config = self.point.config(model, dataloader)
        sample = self.point.bootstrap_sample
        prompts = dataloader if sample is None else bootstrap_sample(dataloader, sample)
        while_training = validation if self.validate else None
        scores = run_in_folder(
            folder, model, prompts, config, while_training, after_step=self._looking()
        )
        run = RunFolder(folder)
        if run.evaluation is None:
            held_back = dataloader if validation is None else validation
            edges = run.history[-1].hard_edge_count
            found = measured(model, held_back, scores, edges, config.ablation_type)
            if official_edges:
                found["auroc"] = auroc(model, scores, official_edges)
            run.write_evaluation(
                {**found, "on": "training" if validation is None else "validation"}
            )

    def _looking(self) -> Callable[[StepRecord], None]:
        """Return what looks after a step, now and then, whether the run is still wanted."""
        # It may have been cancelled while the model was made.
        due = 0.0

        def look(_: StepRecord) -> None:
            nonlocal due
            if time.monotonic() >= due:
                self._check_wanted()
                due = time.monotonic() + SECONDS_BETWEEN_LOOKS

        return look

    def _check_wanted(self) -> None:
        if Path(self.cancelled).exists():
            raise CancelledError


def measured(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    scores: PruneScores,
    edges: int,
    ablation: AblationType,
) -> dict[str, Any]:
    """Return how good scores are, as JSON: the content of `evaluation.json`.

    `metric` (KL divergence, or the squared error where the answers are numbers), `edges` and
    `value`: of the circuit of so many edges; `log_area` and the other areas of `Evaluation`, NaN
    where the prompts do not allow them; `curve`: edges and value of circuits of all sizes.
    """
    sizes = sorted({*sizes_of(model.n_edges), edges})
    found = evaluate(
        model, dataloader, scores, sizes, ablation, complement=False, random=0, progress=False
    )
    metric, curve = found.metrics[0], found.curve()
    areas = found.summary.iloc[0].to_dict()
    return {
        "metric": metric,
        "ablation": ablation.name,
        "n_prompts": found.n_prompts,
        "edges": edges,
        "value": dict(curve)[edges],
        "log_area": found.log_area(metric),
        **{name: float(areas[name]) for name in AREAS if not math.isnan(areas[name])},
        "curve": curve,
    }


def _check_same(folder: Path, made: Made) -> None:
    """Raise `ArgumentError` if other points of the sweep have another model or other prompts."""
    here = {
        "model's edges": fingerprint_of_graph(made.model),
        "model's weights": fingerprint_of_weights(made.model),
        "dataloader": fingerprint_of_prompts(made.dataloader),
        "validation_dataloader": fingerprint_of_prompts(made.validation_dataloader),
    }
    if not exists(folder / SWEEP):
        content = {"format": SWEEP_FORMAT, "fingerprints": here}
        write_atomically(folder / SWEEP, json.dumps(content, indent=1).encode())
    there = read_json(folder / SWEEP, SWEEP_FORMAT).get("fingerprints")
    for name, value in here.items():
        written = there.get(name) if isinstance(there, dict) else None
        if written != value:
            wanted = f"that of the other points in the folder, with {name} {written}"
            raise ArgumentError("model_factory", wanted, value)


def _write_failure(folder: Path, error: Exception) -> None:
    # Unless somebody else is at it: then it is theirs to say how it ends.
    with suppress(StateError), FolderLock(folder):
        step = n_steps = 0
        with suppress(ArgumentError):
            if exists(folder / CONFIG):
                status = RunFolder(folder).status
                step, n_steps = status.step, status.n_steps
        write_status(folder, status_now("failed", step, n_steps, error))


@contextmanager
def _torch_threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

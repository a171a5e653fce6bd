"""A trainer that makes about a thousand steps a second on a graph of any size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import StateError
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.session import Trainer
from sp_widget.widget.widget import SubnetworkProbingWidget

STEP = 0.001
"""Seconds that a step takes at least."""


class FastTrainer:
    """Scores that change with every step, and an evaluation in every tenth."""

    def __init__(self, model: PatchableModel, n_steps: int) -> None:
        self.model = model
        self.n_steps = n_steps
        self.seed = 0
        self.learning_rate = self.regularize_lambda = 1.0
        self.prepared = False
        self.history: list[StepRecord] = []
        self.evaluations: list[HardEvaluation] = []
        self.theta = torch.zeros(model.n_edges)

    @property
    def best(self) -> HardEvaluation | None:
        return self.evaluations[-1] if self.evaluations else None

    @property
    def step_count(self) -> int:
        return len(self.history)

    @property
    def done(self) -> bool:
        return self.step_count == self.n_steps

    @property
    def hard_edge_count(self) -> int:
        return int((self.theta > 0).sum())

    @property
    def prune_scores(self) -> PruneScores:
        parts = self.model.graph.split(self.theta.clone())
        return PruneScores(parts, self.model.graph)

    def preparation(self) -> Iterator[tuple[int, int]]:
        yield 1, 1
        self.prepared = True

    def step(self) -> StepRecord:
        until = time.perf_counter() + STEP
        step = self.step_count + 1
        self.theta[step % len(self.theta)] = step
        record = StepRecord(
            step=step,
            epoch=1,
            loss=1 / step,
            faithfulness=0.5 / step,
            regularizer=0.5 / step,
            validation=0.4,
            validation_hard=0.3,
            soft_edge_count=3.0,
            hard_edge_count=self.hard_edge_count,
            accuracy=None,
            learning_rate=self.learning_rate,
            regularize_lambda=self.regularize_lambda,
            seconds=STEP,
        )
        self.history.append(record)
        if step % 10 == 0:
            self.evaluate()
        time.sleep(max(0.0, until - time.perf_counter()))
        return record

    def evaluate(self) -> HardEvaluation:
        self.evaluations.append(HardEvaluation(self.step_count, 3, 1 / self.step_count, 0.1))
        return self.evaluations[-1]

    def restore_best(self) -> HardEvaluation:
        raise StateError("this trainer keeps no masks")


class FastWidget(SubnetworkProbingWidget):
    """The widget with that trainer."""

    def __init__(
        self, model: PatchableModel, prompts: PromptDataLoader, n_steps: int, **arguments: Any
    ) -> None:
        self.n_steps = n_steps
        super().__init__(model, prompts, prompts, **arguments)

    def _new_trainer(self) -> Trainer:
        return FastTrainer(self._model, self.n_steps)

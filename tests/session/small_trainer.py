"""A trainer small enough for a thousand steps a second, with the interface of the real one.

It really optimises: mask parameters of a linear model are trained with Adam under sampled
noise from its own generator, so its result depends on every step and every draw before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sp_widget.errors import NonFiniteLossError, StateError
from sp_widget.methods.record import HardEvaluation, StepRecord


class SmallTrainer:
    n_edges = 6

    def __init__(
        self,
        n_steps: int = 50,
        *,
        n_batches: int = 3,
        before_step: Callable[[int], None] = lambda step: None,
        before_batch: Callable[[int], None] = lambda batch: None,
        scale: float = 1.0,
    ) -> None:
        self.n_steps = n_steps
        self.n_batches = n_batches
        self.before_step = before_step
        self.before_batch = before_batch
        self.scale = scale
        self.learning_rate = 0.1
        self.regularize_lambda = 0.01
        self.prepared = False
        self.history: list[StepRecord] = []
        self.evaluations: list[HardEvaluation] = []
        self.best: HardEvaluation | None = None
        self.generator = torch.Generator().manual_seed(1)
        self.parameters = torch.full((self.n_edges,), -1.6, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.parameters])
        self.inputs = torch.randn(16, self.n_edges, generator=self.generator)
        self.outputs = self.inputs @ torch.tensor([1.0, 0, 0, 1, 0, 1])

    @property
    def step_count(self) -> int:
        return len(self.history)

    @property
    def done(self) -> bool:
        return self.step_count == self.n_steps

    @property
    def prune_scores(self) -> dict[str, Tensor]:
        return {"edges": self.parameters.detach().clone()}

    @property
    def hard_edge_count(self) -> int:
        return int((self.parameters > 0).sum())

    @torch.no_grad()
    def evaluate(self) -> HardEvaluation:
        mask = (self.parameters > 0).float()
        faithfulness = (self.inputs @ mask - self.outputs).square().mean().item()
        count = self.hard_edge_count
        evaluation = HardEvaluation(self.step_count, count, faithfulness, count / self.n_edges)
        self.evaluations.append(evaluation)
        if self.best is None or faithfulness < self.best.faithfulness:
            self.best, self.best_parameters = evaluation, self.parameters.detach().clone()
        return evaluation

    @torch.no_grad()
    def restore_best(self) -> HardEvaluation:
        if self.best is None:
            raise StateError("cannot restore the best masks: nothing was evaluated")
        self.parameters.copy_(self.best_parameters)
        return self.best

    def preparation(self) -> Iterator[tuple[int, int]]:
        for batch in range(self.n_batches):
            self.before_batch(batch)
            yield batch + 1, self.n_batches
        self.prepared = True

    def step(self) -> StepRecord:
        if self.done:
            raise StateError("every step was made")
        step = self.step_count + 1
        self.before_step(step)
        began = time.perf_counter()
        noise = torch.rand(self.n_edges, generator=self.generator) - 0.5
        mask = torch.sigmoid(self.parameters + noise)
        faithfulness = (self.inputs @ mask - self.outputs).square().mean() * self.scale
        regularizer = mask.sum()
        loss = faithfulness + self.regularize_lambda * regularizer
        if not torch.isfinite(loss):
            raise NonFiniteLossError(f"the loss is {loss.item()} in step {step}")
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        record = StepRecord(
            step=step,
            epoch=1 + (step - 1) // 10,
            loss=loss.item(),
            faithfulness=faithfulness.item(),
            regularizer=regularizer.item(),
            validation=None,
            validation_hard=None,
            soft_edge_count=regularizer.item(),
            hard_edge_count=self.hard_edge_count,
            accuracy=None,
            learning_rate=self.learning_rate,
            regularize_lambda=self.regularize_lambda,
            seconds=time.perf_counter() - began,
        )
        self.history.append(record)
        return record

"""A trainer that makes about a thousand steps a second on a graph of any size."""

from __future__ import annotations

import time
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import MethodConfig, Trainer
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.widget import SubnetworkProbingWidget

STEP = 0.001
"""Seconds that a step takes at least."""


class FastTrainer(Trainer[MethodConfig]):
    """Scores that change with every step, and an evaluation in every tenth."""

    title = "Fast"
    Config = SubnetworkProbingConfig
    steps_in_all = 1

    def __init__(self, model: PatchableModel, prompts: PromptDataLoader, n_steps: int) -> None:
        config = SubnetworkProbingConfig(seed=0, evaluate_every=10)
        super().__init__(model, prompts, config, prompts)
        self.steps_in_all = n_steps
        self.tensors["theta"] = torch.zeros(model.n_edges)

    @property
    def n_steps(self) -> int:
        return self.steps_in_all

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        until = time.perf_counter() + STEP
        self.tensors["theta"][step % self.n_edges] = step
        time.sleep(max(0.0, until - time.perf_counter()))
        return {
            "loss": 1 / step,
            "validation": 0.4,
            "validation_hard": 0.3,
            "faithfulness": 0.5 / step,
            "regularizer": 0.5 / step,
            "regularize_lambda": 1.0,
        }

    def scores(self) -> Float[Tensor, " edges"]:
        return self.tensors["theta"]

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        return self.tensors["theta"] > 0

    def mean_faithfulness(
        self, circuit: Bool[Tensor, " edges"], batches: list[PreparedBatch]
    ) -> float:
        return 1 / self.step_count


class FastWidget(SubnetworkProbingWidget):
    """The widget with that trainer."""

    def __init__(
        self, model: PatchableModel, prompts: PromptDataLoader, n_steps: int, **arguments: Any
    ) -> None:
        self.n_steps = n_steps
        super().__init__(model, prompts, prompts, **arguments)

    def _new_trainer(self) -> FastTrainer:
        return FastTrainer(self._model, self._dataloader, self.n_steps)

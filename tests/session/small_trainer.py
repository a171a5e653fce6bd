"""A trainer small enough for hundreds of steps a second.

It trains masks as any method does, step, evaluation and undoing included; only what a circuit does
is a linear model instead of a transformer. Its result depends on every step and every draw before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.methods.mask_training import MaskTrainer, MaskTrainingConfig
from sp_widget.methods.parameter import number
from tests import model_kinds


@dataclass(frozen=True, kw_only=True)
class SmallConfig(MaskTrainingConfig):
    regularize_lambda: float = number(0.01, "Lambda", "Weight of the sparsity term.", live=True)


class SmallTrainer(MaskTrainer[SmallConfig]):
    title = "Small"
    Config = SmallConfig
    steps_in_all = 50

    def __init__(
        self,
        n_steps: int = 50,
        *,
        before_step: Callable[[int], None] = lambda step: None,
        before_batch: Callable[[int], None] = lambda batch: None,
        scale: float = 1.0,
    ) -> None:
        loader = model_kinds.dataloader()
        config = SmallConfig(seed=1, evaluate_every=None, cache="device")
        super().__init__(_model(), loader, config, model_kinds.dataloader(3, 3))
        self.steps_in_all = n_steps
        self.before_step = before_step
        self.before_batch = before_batch
        self.scale = scale
        draw = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(16, self.n_edges, generator=draw)
        self.outputs = self.inputs[:, ::2].sum(-1)

    @property
    def n_steps(self) -> int:
        return self.steps_in_all

    def start(self) -> Float[Tensor, " edges"]:
        return torch.full((self.n_edges,), -1.6)

    def preparation(self) -> Iterator[tuple[int, int]]:
        for batch, progress in enumerate(super().preparation()):
            self.before_batch(batch)
            yield progress

    def make_step(self, step: int) -> dict[str, Tensor | float]:
        self.before_step(step)
        return super().make_step(step)

    def sample_masks(self, n_prompts: int, generator: torch.Generator) -> Float[Tensor, "1 edges"]:
        noise = torch.rand(self.n_edges, generator=generator) - 0.5
        return torch.sigmoid(self.theta + noise).unsqueeze(0)

    def run_masks(self, masks: Float[Tensor, "1 edges"], here: PreparedBatch) -> Tensor:
        return self.inputs @ masks[0]

    def faithfulness(self, logits: Tensor, here: PreparedBatch) -> Float[Tensor, ""]:
        return (logits - self.outputs).square().mean() * self.scale

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "n edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        weight = self.config.regularize_lambda
        loss = faithfulness + weight * masks.sum()
        return loss, {"regularizer": masks.sum(), "regularize_lambda": weight}

    def scores(self) -> Float[Tensor, " edges"]:
        return self.theta.detach()

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        return self.theta.detach() > 0


def flat(scores: PruneScores) -> Float[Tensor, " edges"]:
    return torch.cat([part.flatten() for part in scores.values()])


@cache
def _model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("native-attention-only"))

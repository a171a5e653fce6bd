"""Uniform gradient sampling (UGS): masks that are exactly 0 or 1, but for a window with a gradient.

After Li & Janson 2024, "Optimal ablation for interpretability" (arXiv 2409.09951). With the
probability of keeping an edge θ = σ(a), the width w = θ (1 − θ), taken as a constant, and
u ~ U(0, 1),

    θ' = w θ − (w − 1) sg(θ)        (the value of θ, and w times its gradient)
    kept = clamp((θ' − u) / w + ½, 0, 1)

which is 0 or 1 unless u falls into a window of probability w around θ; there its gradient with
respect to θ is 1. The gradient of an edge is averaged over the samples that fell into its window.

    loss = faithfulness + λ Σ θ
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import Method, settings_of
from sp_widget.methods.mask_training import MaskTrainer, MaskTrainingConfig
from sp_widget.methods.parameter import number
from sp_widget.methods.series import EDGES, FAITHFULNESS, LOSS, REGULARIZER, VALIDATION

_NARROWEST = 1e-4
"""Windows are not narrower: an edge whose θ is 0 or 1 in 32 bits would divide by zero."""


@dataclass(frozen=True, kw_only=True)
class UniformGradientSamplingConfig(MaskTrainingConfig):
    """How to train the probabilities.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    regularize_lambda: float = number(
        0.001,
        "Lambda",
        "Weight of the expected number of edges: loss = faithfulness + lambda × Σ θ. Larger finds "
        "a smaller circuit. May be changed while training: takes effect at the next step.",
        at_least=0,
        live=True,
    )
    init_val: float = number(
        1.0, "Initial log-odds", "Log-odds of keeping an edge at the start.", step=0.5, group="more"
    )
    largest_step: float = number(
        5.0,
        "Clip",
        "A longer gradient of the data is shortened to this length.",
        above=0,
        group="more",
    )


class UniformGradientSampling(MaskTrainer[UniformGradientSamplingConfig]):
    """Trains a probability for each edge."""

    title = "Uniform gradient sampling"
    Config = UniformGradientSamplingConfig

    def start(self) -> Float[Tensor, " edges"]:
        """Return the same log-odds for every edge."""
        return torch.full((self.n_edges,), self.config.init_val)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW with the published momenta."""
        return torch.optim.AdamW(
            [self.theta], lr=self.config.learning_rate, betas=(0.9, 0.995), weight_decay=0.0
        )

    def sample_masks(
        self, n_prompts: int, generator: torch.Generator
    ) -> Float[Tensor, "batch edges"]:
        """Return one sample for each prompt, and note which fell into a window."""
        theta = torch.sigmoid(self.theta)
        width = (theta * (1 - theta)).detach().clamp(min=_NARROWEST)
        u = torch.rand((n_prompts, self.n_edges), generator=generator, device=theta.device)
        # The value of theta, and `width` times its gradient.
        scaled = width * theta - (width - 1) * theta.detach()
        unclamped = (scaled - u) / width + 0.5
        if torch.is_grad_enabled():
            self._n_inside = ((unclamped > 0) & (unclamped < 1)).sum(0)
            self._n_samples = n_prompts
        return 1 - unclamped.clamp(0, 1)

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "batch edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        """Return faithfulness + λ Σ θ; the gradient of the second term comes in `before_update`."""
        expected = torch.sigmoid(self.theta.detach()).sum()
        weight = self.config.regularize_lambda
        return faithfulness + weight * expected, {
            "regularizer": expected,
            "penalty": weight * expected,
            "regularize_lambda": weight,
            "soft_edge_count": expected,
        }

    @torch.no_grad()
    def before_update(self) -> None:
        """Average each edge's gradient over the samples in its window, and add that of λ Σ θ."""
        gradient = self.theta.grad
        assert gradient is not None
        gradient.mul_(self._n_samples / self._n_inside.clamp(min=1))
        torch.nn.utils.clip_grad_norm_([self.theta], self.config.largest_step)
        theta = torch.sigmoid(self.theta)
        gradient.add_(theta * (1 - theta), alpha=self.config.regularize_lambda)

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return the edges that are rather kept than not."""
        return self.theta.detach() > 0


def uniform_gradient_sampling_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Train the probability that each edge is kept, and return its log-odds as prune scores.

    After Li & Janson 2024 (arXiv 2409.09951). `settings` are the fields of
    `UniformGradientSamplingConfig`. `official_edges` is not used.

    Raises `ArgumentError` for a bad argument and `NonFiniteLossError` when the loss becomes NaN or
    infinite.
    """
    config = settings_of(UniformGradientSamplingConfig, settings)
    trainer = UniformGradientSampling(model, dataloader, config, validation_dataloader)
    return trainer.run(progress=progress)


METHOD = Method(
    name="uniform_gradient_sampling",
    title=UniformGradientSampling.title,
    summary="Trains the probability of each edge from masks that are exactly 0 or 1.",
    Config=UniformGradientSamplingConfig,
    trainer=UniformGradientSampling,
    series=(LOSS, FAITHFULNESS, REGULARIZER, VALIDATION, EDGES),
)

"""Learned ranking: scores whose top k edges are faithful at every k.

After "Matryoshka attribution" (arXiv 2609.25518). Each step draws sizes k, and keeps of every edge

    m = σ((s − τ) / T),   with τ such that Σ m = k

of the scores `s`. The loss is the faithfulness alone. Backward through the constraint, with
p = m (1 − m) and g = ∂L/∂m:

    ∂L/∂s = (p / T) · (g − Σ g p / Σ p)

Sizes are drawn log-uniformly, so that small circuits are trained as often as large ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.circuits.arguments import check_model_and_prompts
from sp_widget.circuits.scores import PruneScores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import Method, settings_of
from sp_widget.methods.mask_training import MaskTrainer, MaskTrainingConfig, steps_for, target_for
from sp_widget.methods.parameter import number
from sp_widget.methods.ranking import circuit_size
from sp_widget.methods.series import EDGES, LOSS, VALIDATION

_HALVINGS = 40
"""Of the interval that holds τ: more than a 32-bit float can tell apart."""


@dataclass(frozen=True, kw_only=True)
class LearnedRankingConfig(MaskTrainingConfig):
    """How to train the ranking.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    learning_rate: float = number(
        0.05,
        "Learning rate",
        "Adam's learning rate on the scores: about how far each moves in a step. May be changed "
        "while training: takes effect at the next step.",
        above=0,
        live=True,
    )
    circuit_size: int | None = circuit_size()
    temperature: float = number(
        0.5,
        "Temperature",
        "How soft the cut at the k-th edge is: an edge is kept by σ((score − threshold) ÷ "
        "temperature).",
        above=0,
        group="more",
    )


class LearnedRanking(MaskTrainer[LearnedRankingConfig]):
    """Trains a score for each edge, so that the top k are faithful at every k."""

    title = "Learned ranking"
    Config = LearnedRankingConfig

    def start(self) -> Float[Tensor, " edges"]:
        """Return 0 for every edge."""
        return torch.zeros(self.n_edges)

    def sample_masks(
        self, n_prompts: int, generator: torch.Generator
    ) -> Float[Tensor, "batch edges"]:
        """Return the masks that keep a drawn number of edges, another for each prompt."""
        # Spread over the whole range: each prompt has its own part of it.
        parts = torch.randperm(n_prompts, generator=generator, device=self.theta.device)
        drawn = torch.rand(n_prompts, generator=generator, device=self.theta.device)
        sizes = torch.exp((parts + drawn) / n_prompts * math.log(self.n_edges))
        return 1 - soft_top_k(self.theta, sizes, self.config.temperature)


class _SoftTopK(torch.autograd.Function):
    """σ((s − τ) / T) with its sum fixed; the formulas stand above."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: Float[Tensor, " edges"],
        sizes: Float[Tensor, " sizes"],
        temperature: float,
    ) -> Float[Tensor, "sizes edges"]:
        n = scores.numel()
        # Were all scores the lowest, or all the highest, τ would be this much below them.
        below = temperature * torch.logit((sizes / n).clamp(1e-7, 1 - 1e-7))
        low, high = scores.min() - below, scores.max() - below
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            kept = torch.sigmoid((scores - middle[:, None]) / temperature).sum(1)
            low = torch.where(kept > sizes, middle, low)
            high = torch.where(kept > sizes, high, middle)
        kept = torch.sigmoid((scores - ((low + high) / 2)[:, None]) / temperature)
        ctx.save_for_backward(kept)
        ctx.temperature = temperature
        return kept

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        p = kept * (1 - kept)
        mean = (grad * p).sum(1, keepdim=True) / p.sum(1, keepdim=True).clamp(min=1e-12)
        return ((p / ctx.temperature) * (grad - mean)).sum(0), None, None


def soft_top_k(
    scores: Float[Tensor, " edges"], sizes: Float[Tensor, " sizes"], temperature: float
) -> Float[Tensor, "sizes edges"]:
    """Return how much of each edge is kept, a row for each size: between 0 and 1, in sum the size.

    Differentiable in `scores`.
    """
    kept: Tensor = _SoftTopK.apply(scores, sizes, temperature)  # type: ignore[no-untyped-call]
    return kept


def learned_ranking_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Train a ranking of the edges that is good at every size, and return it as prune scores.

    After "Matryoshka attribution" (arXiv 2609.25518). `settings` are the fields of
    `LearnedRankingConfig`; what is not given is as the panel shows it first. `official_edges` is
    not used.

    Raises `ArgumentError` for a bad argument and `NonFiniteLossError` when the loss becomes NaN or
    infinite.
    """
    check_model_and_prompts(model, dataloader)
    config = settings_of(LearnedRankingConfig, {**recipe_settings(model, dataloader), **settings})
    trainer = LearnedRanking(model, dataloader, config, validation_dataloader)
    return trainer.run(progress=progress)


def recipe_settings(model: PatchableModel, dataloader: PromptDataLoader) -> dict[str, Any]:
    """Return the settings that need no tuning: see docs/results.md."""
    steps = steps_for(model, dataloader)
    return {
        "faithfulness_target": target_for(dataloader),
        "steps": steps,
        "learning_rate": round(40 / steps, 4),
        "learning_rate_schedule": "falling",
    }


METHOD = Method(
    name="learned_ranking",
    title=LearnedRanking.title,
    summary="Trains one ranking whose top edges are faithful at every size: the best curve.",
    Config=LearnedRankingConfig,
    trainer=LearnedRanking,
    series=(LOSS, VALIDATION, EDGES),
    recipe=lambda model, dataloader: LearnedRankingConfig(**recipe_settings(model, dataloader)),
)

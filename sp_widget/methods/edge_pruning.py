"""Edge Pruning: a circuit of a size that is asked for, by a Lagrangian.

After Bhaskar et al. 2024 (arXiv 2406.16778). Hard-concrete masks as in subnetwork probing; the
sparsity `s = 1 − mean(kept)` of the sampled masks is held at a target `t`, which rises over the
first steps from 0 to that of the wanted size:

    loss = faithfulness + λ₁ (s − t) + λ₂ (s − t)²

The multipliers λ₁ and λ₂ start at 0 and are trained by gradient *ascent*. At every moment the hard
circuit has exactly the size of the target: it is cut by rank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import Method, settings_of
from sp_widget.methods.mask_functions import hard_concrete
from sp_widget.methods.mask_training import MaskTrainer, MaskTrainingConfig
from sp_widget.methods.parameter import choice, number, whole_number
from sp_widget.methods.ranking import circuit_size_of
from sp_widget.methods.series import EDGES, FAITHFULNESS, LOSS, VALIDATION, Series, term


@dataclass(frozen=True, kw_only=True)
class EdgePruningConfig(MaskTrainingConfig):
    """How to prune towards a size.

    Raises `ArgumentError` (a `ValueError`) that names the first bad field.
    """

    learning_rate: float = number(
        0.1,
        "Learning rate",
        "AdamW's learning rate on the log-odds of the masks: about how far each moves in a step. "
        "May be changed while training: takes effect at the next step.",
        above=0,
        live=True,
    )
    circuit_size: int | None = whole_number(
        None,
        "Circuit size",
        "Number of edges that the circuit has in the end.",
        optional="a tenth of all edges",
    )
    multiplier_rate: float = number(
        0.1,
        "Multiplier rate",
        "Learning rate of the two multipliers, which push the sparsity to its target.",
        above=0,
        group="more",
    )
    warmup: float = number(
        0.8,
        "Warm-up",
        "Share of the steps over which the target rises to the wanted size.",
        at_least=0,
        at_most=1,
        step=0.05,
        group="more",
    )
    target_path: Literal["linear", "logarithmic"] = choice(
        "logarithmic",
        "Path of the target",
        "How the target gets there. Linear: the same number of edges is given up in each step. "
        "Logarithmic: the same share of those that are left.",
        {"linear": "Linear in the sparsity", "logarithmic": "Logarithmic in the edges left"},
        group="more",
    )
    init_val: float = number(
        4.0,
        "Initial log-odds",
        "Log-odds of keeping an edge at the start: all edges are nearly open.",
        step=0.5,
        group="more",
    )


class EdgePruning(MaskTrainer[EdgePruningConfig]):
    """Trains hard-concrete masks under a constraint on their number."""

    title = "Edge Pruning"
    Config = EdgePruningConfig

    def start(self) -> Float[Tensor, " edges"]:
        """Return log-odds near `init_val`; a little noise tells edges apart."""
        draw = torch.Generator().manual_seed(self.seed)
        return self.config.init_val + 0.01 * torch.randn(self.n_edges, generator=draw)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW: down the gradient of the masks, up that of the multipliers."""
        self.multipliers = torch.zeros(2, device=self.model.device, requires_grad=True)
        self.tensors["multipliers"] = self.multipliers
        masks: dict[str, Any] = {"params": [self.theta]}
        multipliers = {
            "params": [self.multipliers],
            "maximize": True,
            "fixed_lr": self.config.multiplier_rate,
        }
        return torch.optim.AdamW(
            [masks, multipliers],
            lr=self.config.learning_rate,
            weight_decay=0.0,
        )

    def sample_masks(
        self, n_prompts: int, generator: torch.Generator
    ) -> Float[Tensor, "batch edges"]:
        """Return one sample for each prompt."""
        return 1 - hard_concrete(self.theta, n_prompts, generator)

    def loss(
        self,
        faithfulness: Float[Tensor, ""],
        masks: Float[Tensor, "batch edges"],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor | float]]:
        """Return the Lagrangian."""
        sparsity, target = masks.mean(), 1 - self.target_size(step) / self.n_edges
        excess = sparsity - target
        penalty = self.multipliers[0] * excess + self.multipliers[1] * excess**2
        return faithfulness + penalty, {
            "constraint": penalty,
            "soft_edge_count": self.n_edges * (1 - sparsity),
            "target_edge_count": float(self.target_size(step)),
        }

    def target_size(self, step: int) -> int:
        """Return the number of edges that the circuit should have at a step."""
        size = circuit_size_of(self.config.circuit_size, self.n_edges)
        over = max(1.0, self.config.warmup * self.n_steps)
        share = min(1.0, step / over)
        if self.config.target_path == "linear":
            return round(self.n_edges + share * (size - self.n_edges))
        return round(self.n_edges * math.exp(share * math.log(size / self.n_edges)))

    def hard_circuit(self) -> Bool[Tensor, " edges"]:
        """Return the top edges, exactly as many as the target says."""
        return largest(self.theta.detach(), self.target_size(self.step_count))


def edge_pruning_prune_scores(
    model: PatchableModel,
    dataloader: PromptDataLoader,
    official_edges: object = None,
    *,
    validation_dataloader: PromptDataLoader | None = None,
    progress: bool = True,
    **settings: Any,
) -> PruneScores:
    """Train masks towards a circuit of `circuit_size` edges and return their prune scores.

    After Bhaskar et al. 2024 (arXiv 2406.16778). `settings` are the fields of `EdgePruningConfig`.
    `official_edges` is not used. The scores are best at the size that was asked for.

    Raises `ArgumentError` for a bad argument and `NonFiniteLossError` when the loss becomes NaN or
    infinite.
    """
    config = settings_of(EdgePruningConfig, settings)
    return EdgePruning(model, dataloader, config, validation_dataloader).run(progress=progress)


METHOD = Method(
    name="edge_pruning",
    title=EdgePruning.title,
    summary="Trains masks towards a circuit of exactly the size that you ask for.",
    Config=EdgePruningConfig,
    trainer=EdgePruning,
    series=(
        LOSS,
        FAITHFULNESS,
        Series("Constraint", term("constraint"), "left", "#8b6fd0", "dotted", 2.5),
        VALIDATION,
        EDGES,
    ),
)

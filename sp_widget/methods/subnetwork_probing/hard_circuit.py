"""Held-out truth: the hard circuit, measured on all validation data, and the best one kept.

The loss of a training belongs to masks that are sampled, many of them neither 0 nor 1. What is
reported in the end is a circuit in which every edge either is or is not; here it is measured.
Nothing is sampled, so that measuring does not touch the training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.prepared import PreparedBatch
from sp_widget.circuits.scores import scores_from_parameters
from sp_widget.methods.mask_functions import is_on
from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig


def thresholded(
    theta: Float[Tensor, " edges"], config: SubnetworkProbingConfig
) -> Bool[Tensor, " edges"]:
    """The circuit of the edges whose noiseless mask value rounds to "in the circuit"."""
    on = is_on(theta.detach(), config.mask_fn)
    return ~on if config.tree_optimisation else on


def hard_circuit(
    theta: Float[Tensor, " edges"], config: SubnetworkProbingConfig, soft_edge_count: float
) -> Bool[Tensor, " edges"]:
    """Which edges the hard circuit holds, by `config.hard_circuit`.

    `threshold`: every mask is rounded. `top_k`: the k most important edges, where k is
    `circuit_size` or else `soft_edge_count`, edges as the regularizer counts them. (With as many
    edges as `threshold` has, `top_k` would be the same circuit: importance grows with the
    parameter.)
    """
    if config.hard_circuit == "threshold":
        return thresholded(theta, config)
    wanted = soft_edge_count if config.circuit_size is None else config.circuit_size
    k = min(max(round(wanted), 0), theta.numel())
    importance = scores_from_parameters(theta, config.tree_optimisation).abs()
    chosen = torch.zeros_like(theta, dtype=torch.bool)
    chosen[importance.argsort(descending=True, stable=True)[:k]] = True
    return chosen


def hard_regularizer(
    circuit: Bool[Tensor, " edges"],
    config: SubnetworkProbingConfig,
    avoided: Int[Tensor, " avoided"],
) -> float:
    """The sparsity term of the loss for exactly these edges; an avoided edge in the circuit has
    the penalty 1, one outside 0.
    """
    count, size = int(circuit.sum()), config.circuit_size
    value = count / circuit.numel() if size is None else max(count - size, 0) / size
    if avoided.numel() > 0:
        value += config.avoid_lambda * circuit[avoided].float().mean().item()
    return value


def mean_over_prompts(
    batches: Sequence[PreparedBatch], measure: Callable[[PreparedBatch], Tensor]
) -> float:
    """The mean over all prompts of a quantity that is a mean over the prompts of a batch."""
    sizes = [here.inputs.embed.shape[0] for here in batches]
    total = sum(size * measure(here).item() for size, here in zip(sizes, batches, strict=True))
    return total / sum(sizes)


@dataclass
class KeepBest:
    """The evaluation with the lowest objective so far, and the parameters that it was made with.

    A live change of lambda changes the objective; both sides of a comparison then take the new
    one.
    """

    evaluation: HardEvaluation | None = None
    theta: Tensor | None = None

    def offer(self, evaluation: HardEvaluation, theta: Tensor, regularize_lambda: float) -> None:
        """Keep a copy of `theta` if `evaluation` is better. On a tie the earlier one stays."""
        best = self.evaluation
        # A NaN is never below anything.
        limit = float("inf") if best is None else best.objective(regularize_lambda)
        if evaluation.objective(regularize_lambda) < limit:
            self.evaluation, self.theta = evaluation, theta.detach().clone()

    def state_dict(self) -> dict[str, Any] | None:
        """As plain data; `None` when nothing was kept."""
        if self.evaluation is None or self.theta is None:
            return None
        return {"evaluation": self.evaluation.to_dict(), "theta": self.theta.clone()}

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """What `state_dict` gave."""
        self.evaluation = self.theta = None
        if state is not None:
            self.evaluation = HardEvaluation(**state["evaluation"])
            self.theta = state["theta"].clone()

"""The sparsity term of the loss."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sp_widget.methods.mask_functions import mask_values, on_probability
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig


def soft_edge_count(
    theta: Float[Tensor, " edges"],
    config: SubnetworkProbingConfig,
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """Edges in the circuit as a sum of mask values: one fresh sample of every edge.

    With `tree_optimisation` a mask value of 1 takes the edge out of the circuit.
    """
    on = mask_values(theta, config.mask_fn, 1, generator).sum()
    return theta.numel() - on if config.tree_optimisation else on


def regularizer(
    theta: Float[Tensor, " edges"],
    edge_count: Float[Tensor, ""],
    config: SubnetworkProbingConfig,
    avoided: Int[Tensor, " avoided"],
) -> Float[Tensor, ""]:
    """`count / edges`, or `ReLU(count - circuit_size) / circuit_size` when a size is given,
    plus `avoid_lambda` times the mean penalty of the avoided edges (subtracted with
    `tree_optimisation`, where a high parameter keeps an edge out).
    """
    size = config.circuit_size
    excess = edge_count if size is None else torch.relu(edge_count - size)
    value = excess / (theta.numel() if size is None else size)
    if avoided.numel() > 0:
        sign = -1 if config.tree_optimisation else 1
        penalty = on_probability(theta[avoided], config.mask_fn).mean()
        value = value + sign * config.avoid_lambda * penalty
    return value

"""The hard circuit of subnetwork probing: which edges the trained masks choose.

The loss of a training belongs to masks that are sampled, many of them neither 0 nor 1. What is
reported in the end is a circuit in which every edge either is or is not.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.scores import largest, scores_from_parameters
from sp_widget.methods.mask_functions import is_on
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig


def thresholded(
    theta: Float[Tensor, " edges"], config: SubnetworkProbingConfig
) -> Bool[Tensor, " edges"]:
    """Return the edges whose noiseless mask value rounds to "in the circuit"."""
    on = is_on(theta.detach(), config.mask_fn)
    return ~on if config.tree_optimisation else on


def chosen(
    theta: Float[Tensor, " edges"],
    config: SubnetworkProbingConfig,
    soft_edge_count: Float[Tensor, ""],
) -> Bool[Tensor, " edges"]:
    """Return the edges of the hard circuit, by `config.hard_circuit`.

    `threshold`: every mask is rounded. `top_k`: the k most important edges, where k is
    `circuit_size` or else `soft_edge_count`, edges as the regularizer counts them. (With as many
    edges as `threshold` has, `top_k` would be the same circuit: importance grows with the
    parameter.)
    """
    if config.hard_circuit == "threshold":
        return thresholded(theta, config)
    size = config.circuit_size
    wanted = round(soft_edge_count.item()) if size is None else size
    return largest(scores_from_parameters(theta, config.tree_optimisation).abs(), wanted)


def sparsity_of(
    circuit: Bool[Tensor, " edges"],
    config: SubnetworkProbingConfig,
    avoided: Int[Tensor, " avoided"],
) -> float:
    """Return the regularizer of exactly these edges; an avoided edge in the circuit has the
    penalty 1, one outside 0.
    """
    count, size = int(circuit.sum()), config.circuit_size
    value = count / circuit.numel() if size is None else max(count - size, 0) / size
    if avoided.numel() > 0:
        value += config.avoid_lambda * circuit[avoided].float().mean().item()
    return value

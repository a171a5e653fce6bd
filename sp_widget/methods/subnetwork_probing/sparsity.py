"""What counts as an edge in the circuit, softly and hard, and what it costs.

The loss of a training belongs to masks that are sampled, many of them neither 0 nor 1: the
regularizer counts their values. What is reported in the end is a hard circuit, in which every edge
either is or is not.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sp_widget.circuits.scores import largest, scores_from_parameters
from sp_widget.methods.mask_functions import is_on, mask_values, on_probability
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig

RISE = 1000.0
"""An exponential schedule begins with so small a part of lambda."""

LOWEST_PRICE, HIGHEST_PRICE = 1e-5, 1.0
"""The price of an edge that a prompt draws, in units of what the empty circuit loses."""

PRICE_SLOPE = 2.0
"""How much lower the log-odds of keeping an edge are where its price is e times as high."""


def soft_edge_count(
    theta: Float[Tensor, " edges"],
    config: SubnetworkProbingConfig,
    generator: torch.Generator | None = None,
) -> Float[Tensor, ""]:
    """Return the edges in the circuit as a sum of mask values: one fresh sample of every edge.

    With `tree_optimisation` a mask value of 1 takes the edge out of the circuit. With
    `expected_l0`: the expected number of masks that are not fully "out of the circuit".
    """
    if config.expected_l0:
        in_circuit = -theta if config.tree_optimisation else theta
        return on_probability(in_circuit, config.mask_fn).sum()
    on = mask_values(theta, config.mask_fn, 1, generator).sum()
    return theta.numel() - on if config.tree_optimisation else on


def regularizer(
    theta: Float[Tensor, " edges"],
    edge_count: Float[Tensor, ""],
    config: SubnetworkProbingConfig,
    avoided: Int[Tensor, " avoided"],
) -> Float[Tensor, ""]:
    """Return `count / edges`, or `ReLU(count - circuit_size) / circuit_size` when a size is given,
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


def share_of_lambda(config: SubnetworkProbingConfig, step: int, n_steps: int) -> float:
    """Return the share of lambda that a step has, by the schedule."""
    done = step / n_steps
    if config.lambda_schedule == "linear":
        return done
    if config.lambda_schedule == "exponential":
        return float(RISE ** (done - 1))
    return 1.0


def draw_prices(
    n_prompts: int, generator: torch.Generator, device: torch.device
) -> Float[Tensor, " prompts"]:
    """Return a price of an edge for each prompt, log-uniform and spread over the whole range."""
    parts = torch.randperm(n_prompts, generator=generator, device=device)
    drawn = torch.rand(n_prompts, generator=generator, device=device)
    exponents = (parts + drawn) / n_prompts
    return LOWEST_PRICE * (HIGHEST_PRICE / LOWEST_PRICE) ** exponents


def log_odds_at(
    log_odds: Float[Tensor, " edges"], prices: Float[Tensor, " n"]
) -> Float[Tensor, "n edges"]:
    """Return the log-odds of keeping each edge at each price.

    `z = log_odds - PRICE_SLOPE * ln(price / middle price)`: one ranking serves circuits of all
    sizes, and the price moves the place where it is cut.
    """
    middle = math.sqrt(LOWEST_PRICE * HIGHEST_PRICE)
    return log_odds - PRICE_SLOPE * torch.log(prices / middle).unsqueeze(1)


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

"""From trained parameters to mask values.

Symbols: `theta` is the trained parameter of an edge (log-odds), `m` the mask value that enters
the patched run. Hard concrete: Louizos, Welling & Kingma 2017 (arXiv 1712.01312), with the
constants of Cao, Sanh & Rush 2021 (arXiv 2104.03514).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.types import MaskFn

LEFT, RIGHT, TEMPERATURE = -0.1, 1.1, 2 / 3
"""The interval that a concrete sample is stretched to before clamping, and its temperature."""

_P = (0.9 - LEFT) / (RIGHT - LEFT)
DEFAULT_INIT_VAL = math.log(_P / (1 - _P))
"""ln 5: at this parameter the stretched mean of the hard concrete is 0.9."""

_ON_OFFSET = TEMPERATURE * math.log(-LEFT / RIGHT)
_U_MARGIN = 1e-4


def hard_concrete(
    theta: Float[Tensor, "*rows edges"], n_samples: int, generator: torch.Generator | None = None
) -> Float[Tensor, "n_samples edges"]:
    """Return independent hard-concrete samples of every edge, differentiable in `theta`.

    `theta`: one row for all samples, or one for each.

    u ~ U(0, 1);  s = sigmoid((ln u - ln(1 - u) + theta) / T);  m = clamp(s (r - l) + l, 0, 1)
    """
    u = torch.rand(
        (n_samples, theta.shape[-1]), generator=generator, device=theta.device, dtype=theta.dtype
    ).clamp_(_U_MARGIN, 1 - _U_MARGIN)
    s = torch.sigmoid((torch.logit(u) + theta) / TEMPERATURE)
    return (s * (RIGHT - LEFT) + LEFT).clamp(0, 1)


def mask_values(
    theta: Float[Tensor, "*rows edges"],
    mask_fn: MaskFn,
    n_samples: int = 1,
    generator: torch.Generator | None = None,
    dropout_p: float = 0.0,
) -> Float[Tensor, "n *edges"]:
    """Mask values of every edge: one row per sample where they are random, else one row.

    `mask_fn`: `"hard_concrete"` samples, `"sigmoid"` is m = sigmoid(theta), `None` is m = theta.
    `dropout_p` sets values to zero with that probability and scales the rest by 1/(1 - p).
    """
    if mask_fn == "hard_concrete":
        m = hard_concrete(theta, n_samples, generator)
    else:
        m = torch.atleast_2d(torch.sigmoid(theta) if mask_fn == "sigmoid" else theta)
    if dropout_p > 0:
        m = m.expand(n_samples, -1)
        kept = torch.rand(m.shape, generator=generator, device=m.device) >= dropout_p
        m = m * kept / (1 - dropout_p)
    return m


def is_on(theta: Float[Tensor, "*edges"], mask_fn: MaskFn) -> Tensor:
    """Boolean mask of the hard circuit: which noiseless mask values round to 1 (above 0.5).

    Both squashing functions are symmetric about theta = 0.
    """
    return theta > (0.5 if mask_fn is None else 0.0)


def on_probability(theta: Float[Tensor, "*edges"], mask_fn: MaskFn) -> Float[Tensor, "*edges"]:
    """The penalty of an avoided edge: for hard concrete the probability that m is not 0,
    sigmoid(theta - T ln(-l / r)); for sigmoid the mask value; without a mask function theta.
    """
    if mask_fn == "hard_concrete":
        return torch.sigmoid(theta - _ON_OFFSET)
    return torch.sigmoid(theta) if mask_fn == "sigmoid" else theta

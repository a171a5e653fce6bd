"""The arithmetic of the tests of a circuit: from scores and counts to p-values.

The tests are those of Shi et al. 2024, "Hypothesis Testing the Circuit Hypothesis in LLMs"
(arXiv 2410.13032). `s(x)` is the score of a prompt, such as its logit difference.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def count_above(
    scores: Float[Tensor, " n"], others: Float[Tensor, " n"] | float, tie: float = 0.0
) -> float:
    """Return how many scores are higher than the others; one that differs by `tie` at most counts
    half.
    """
    difference = scores - others
    ties = difference.abs() <= tie
    return float((~ties & (difference > 0)).sum()) + 0.5 * float(ties.sum())


def equivalence_p(n_above: float, n: int, epsilon: float) -> float:
    """Return the p-value of the null that circuit and model are about equally good.

    Null: P lies within `epsilon` of ½, where P is the chance that the circuit scores a prompt
    higher than the model does. With k of n prompts scored higher,

        p = Σ_j C(n,j) (½+ε)^j (½−ε)^(n−j)    over all j with |j/n − ½| ≥ |k/n − ½|.

    `n_above`: k, a multiple of ½, as a tie counts half.
    """
    from scipy.stats import binom

    distance = abs(n_above - n / 2)
    if distance == 0:
        return 1.0
    low, high = math.floor(n / 2 - distance), math.ceil(n / 2 + distance)
    return float(binom.cdf(low, n, 0.5 + epsilon) + binom.sf(high - 1, n, 0.5 + epsilon))


def equivalence_tost_p(n_above: float, n: int, epsilon: float) -> float:
    """Return the p-value of the null that circuit and model are *not* about equally good.

    Two one-sided tests: the larger of P(J ≤ k) under ½+ε and P(J ≥ k) under ½−ε, each on its own
    side of a half k, so that a tie never helps.
    """
    from scipy.stats import binom

    not_above = binom.cdf(math.ceil(n_above), n, 0.5 + epsilon)
    not_below = binom.sf(math.floor(n_above) - 1, n, 0.5 - epsilon)
    return float(max(not_above, not_below))


class Independence(NamedTuple):
    """The result of `independence`."""

    hsic: float
    """0 where the two are independent; it grows with whatever dependence there is."""
    p: float


def independence(
    x: Float[Tensor, " n"],
    y: Float[Tensor, " n"],
    n_permutations: int,
    generator: torch.Generator,
) -> Independence:
    """Test the null that x and y are independent, by permutations of their HSIC.

    HSIC = tr(K H L H) / (n − 1)² with Gaussian kernels K of x and L of y, whose width is the
    median of |x_i − y_j|, and H = 1 − 1/n (Gretton et al. 2007). The p-value counts the order
    that was found among the permutations, so that it is never 0.
    """
    n = len(x)
    x, y = x.double(), y.double()
    width = (x[:, None] - y[None, :]).abs().median()
    if width == 0:
        width = torch.ones_like(width)
    kernel = _kernel(x, width)
    centred = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    left, right = _factor(centred), _factor(_kernel(y, width))

    def hsic(order: Int[Tensor, " n"]) -> float:
        return float((left.T @ right[order]).square().sum() / (n - 1) ** 2)

    found = hsic(torch.arange(n))
    orders = (torch.randperm(n, generator=generator) for _ in range(n_permutations))
    # Rounding must not tell equal sums apart.
    beyond = sum(hsic(order) >= found * (1 - 1e-9) for order in orders)
    return Independence(found, (1 + beyond) / (1 + n_permutations))


def _kernel(x: Float[Tensor, " n"], width: Float[Tensor, ""]) -> Float[Tensor, "n n"]:
    return torch.exp(-(x[:, None] - x[None, :]).square() / (2 * width.square()))


def _factor(kernel: Float[Tensor, "n n"]) -> Float[Tensor, "n rank"]:
    """Return F with F Fᵀ = kernel, up to rounding: kernels of numbers have a low rank."""
    values, vectors = torch.linalg.eigh(kernel)
    kept = values > 1e-13 * values.max().clamp(min=1e-300)
    factor: Tensor = vectors[:, kept] * values[kept].sqrt()
    return factor


def minimality_p(
    effects: Float[Tensor, " edges"],
    random_effects: Float[Tensor, " n"],
    quantile: float,
    tie: float = 0.0,
) -> Float[Tensor, " edges"]:
    """Return for every edge the p-value of the null that knocking it out matters.

    Null: the effect is larger than that of a random edge with a chance of at least `quantile`.
    With k of n random effects below that of the edge, p = P(J ≤ k), J binomial of n and
    `quantile`. Not corrected for the number of edges.
    """
    from scipy.stats import binom

    below = (effects[:, None] > random_effects[None, :] + tie).sum(1)
    return torch.from_numpy(binom.cdf(below.numpy(), len(random_effects), quantile))


def better_than_random_p(n_better: int, n_random: int, quantile: float) -> float:
    """Return the p-value of the null that a circuit is no better than most random ones.

    Null: it is better than a random one with a chance of at most `quantile`. An exact binomial
    test of `n_better` of `n_random`.
    """
    from scipy.stats import binomtest

    return float(binomtest(n_better, n_random, quantile, "greater").pvalue)


def redundant_edges(p: Float[Tensor, " edges"], alpha: float) -> Bool[Tensor, " edges"]:
    """Return the edges whose null `minimality_p` rejects, corrected after Bonferroni."""
    return p < alpha / max(len(p), 1)

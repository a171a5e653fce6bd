"""Mask values against the closed forms of the hard concrete distribution."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sp_widget.methods.mask_functions import (
    DEFAULT_INIT_VAL,
    hard_concrete,
    is_on,
    mask_values,
    on_probability,
)
from sp_widget.types import MaskFn

LEFT, RIGHT, TEMPERATURE = -0.1, 1.1, 2 / 3
THETAS = [-3.0, -0.5, 0.0, math.log(5), 4.0]
N_SAMPLES = 200_000


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _samples(theta: float, n: int = N_SAMPLES, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return hard_concrete(torch.tensor([theta], dtype=torch.float64), n, draw)[:, 0]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("theta", THETAS)
def test_hard_concrete_is_exactly_0_and_1_as_often_as_its_closed_form_says(theta: float) -> None:
    """P(m = 0) = sigmoid(T ln(-l / r) - theta), and P(m = 1) by symmetry."""
    samples = _samples(theta)
    edge = TEMPERATURE * math.log(-LEFT / RIGHT)
    for value, probability in ((0, _sigmoid(edge - theta)), (1, _sigmoid(theta + edge))):
        share = (samples == value).double().mean().item()
        standard_error = math.sqrt(probability * (1 - probability) / N_SAMPLES)
        assert abs(share - probability) <= 5 * standard_error


@pytest.mark.parametrize("theta", THETAS)
def test_hard_concrete_has_the_mean_of_the_integral_over_its_uniform_noise(theta: float) -> None:
    n = 100_000
    total = total_square = 0.0
    for i in range(n):
        u = (i + 0.5) / n
        s = _sigmoid((math.log(u) - math.log(1 - u) + theta) / TEMPERATURE)
        m = min(max(s * (RIGHT - LEFT) + LEFT, 0), 1)
        total, total_square = total + m, total_square + m * m
    mean = total / n
    sd = math.sqrt(total_square / n - mean**2)
    assert abs(_samples(theta).mean().item() - mean) <= 5 * sd / math.sqrt(N_SAMPLES)


def test_hard_concrete_stays_within_0_and_1() -> None:
    samples = _samples(0.0)
    assert samples.min() == 0
    assert samples.max() == 1
    assert ((samples > 0) & (samples < 1)).any()


def test_noise_is_clamped_away_from_its_ends() -> None:
    """u >= 1e-4 bounds ln u - ln(1 - u) by 9.21, so below theta = -10.81 no mask is ever on."""
    bound = math.log((1 - 1e-4) / 1e-4) - TEMPERATURE * math.log(-LEFT / RIGHT)
    assert bound == pytest.approx(10.8089, abs=1e-4)
    assert _samples(-bound - 0.01, n=1_000_000).max() == 0
    assert _samples(bound + 0.01, n=1_000_000).min() == 1
    assert _samples(-bound + 0.01, n=1_000_000).max() > 0


def test_the_default_starting_parameter_is_ln_5() -> None:
    """There the stretched sigmoid is 0.9: (0.9 - l) / (r - l) = sigmoid(ln 5) = 5/6."""
    assert pytest.approx(math.log(5), abs=1e-12) == DEFAULT_INIT_VAL
    assert _sigmoid(DEFAULT_INIT_VAL) * (RIGHT - LEFT) + LEFT == pytest.approx(0.9)


def test_every_example_and_every_edge_has_its_own_sample() -> None:
    m = mask_values(torch.zeros(400), "hard_concrete", 400, _generator())
    assert m.shape == (400, 400)
    assert len(m.unique(dim=0)) == 400
    centred = m - m.mean()
    variance = centred.square().mean()
    # Correlation of neighbours: standard error 1/400 if they are independent.
    for a, b in ((centred[1:], centred[:-1]), (centred[:, 1:], centred[:, :-1])):
        assert abs((a * b).mean() / variance) < 5 / 400


@pytest.mark.parametrize("dropout_p", [0.0, 0.3])
@pytest.mark.parametrize("mask_fn", ["hard_concrete", "sigmoid", None])
def test_gradients_match_finite_differences_for_the_same_noise(
    mask_fn: MaskFn, dropout_p: float
) -> None:
    theta = torch.linspace(-3, 3, 40, dtype=torch.float64).requires_grad_()
    weights = torch.randn(5, 40, generator=_generator(1), dtype=torch.float64)

    def loss(at: Tensor) -> Tensor:
        return (mask_values(at, mask_fn, 5, _generator(2), dropout_p) * weights).sum()

    (gradient,) = torch.autograd.grad(loss(theta), theta)
    h = 1e-6
    with torch.no_grad():
        for i in range(40):
            step = torch.zeros_like(theta)
            step[i] = h
            numeric = (loss(theta + step) - loss(theta - step)) / (2 * h)
            assert gradient[i].item() == pytest.approx(numeric.item(), abs=1e-7)


def test_masks_without_noise_are_one_row_of_the_function_s_values() -> None:
    theta = torch.tensor([-2.0, 0.0, 1.5])
    sigmoid = mask_values(theta, "sigmoid", 8)
    assert sigmoid.shape == (1, 3)
    assert sigmoid[0].tolist() == pytest.approx([_sigmoid(x) for x in theta.tolist()])
    assert mask_values(theta, None, 8).tolist() == [theta.tolist()]


@pytest.mark.parametrize("mask_fn", ["hard_concrete", "sigmoid", None])
def test_dropout_zeroes_its_share_and_scales_up_the_rest(mask_fn: MaskFn) -> None:
    """At theta = 12 a hard-concrete mask is 1 whatever the noise; a sample for each example."""
    theta, p, n = torch.full((500,), 12.0), 0.2, 400
    m = mask_values(theta, mask_fn, n, _generator(), dropout_p=p)
    assert m.shape == (n, 500)
    share = (m == 0).double().mean().item()
    assert abs(share - p) <= 5 * math.sqrt(p * (1 - p) / m.numel())
    undropped = {"hard_concrete": 1.0, "sigmoid": _sigmoid(12), None: 12.0}[mask_fn]
    assert m[m > 0].unique().tolist() == pytest.approx([undropped / (1 - p)])
    assert len((m == 0).unique(dim=0)) == n


@pytest.mark.parametrize("mask_fn", ["hard_concrete", "sigmoid", None])
@pytest.mark.parametrize("theta", [-5.0, -1e-3, 1e-3, 0.4999, 0.5001, 5.0])
def test_a_hard_mask_is_on_where_the_noiseless_mask_is_above_one_half(
    mask_fn: MaskFn, theta: float
) -> None:
    stretched = _sigmoid(theta / TEMPERATURE) * (RIGHT - LEFT) + LEFT
    noiseless = {"hard_concrete": stretched, "sigmoid": _sigmoid(theta), None: theta}[mask_fn]
    assert is_on(torch.tensor(theta), mask_fn).item() == (noiseless > 0.5)


@pytest.mark.parametrize("theta", THETAS)
def test_the_penalty_of_an_avoided_edge_is_how_likely_it_is_on(theta: float) -> None:
    on = on_probability(torch.tensor(theta), "hard_concrete").item()
    off = _sigmoid(TEMPERATURE * math.log(-LEFT / RIGHT) - theta)
    assert on == pytest.approx(1 - off, abs=1e-6)
    assert on_probability(torch.tensor(theta), "sigmoid").item() == pytest.approx(_sigmoid(theta))
    assert on_probability(torch.tensor(theta), None).item() == pytest.approx(theta)


def test_noise_comes_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    draws = [
        mask_values(torch.zeros(50), "hard_concrete", 2, _generator(seed), dropout_p=0.5)
        for seed in (0, 0, 1)
    ]
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=0)
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)

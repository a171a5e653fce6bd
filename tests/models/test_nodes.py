"""Norms, projections, rotary positions and attention against their formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sp_widget.models.nodes import Attention, AttentionInputs, Norm, NormedLinear, Rotary

EPS = 1e-3


def _normal(*shape: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _norm(kind: Any, affine: bool) -> Norm:
    if kind == "none":
        return Norm("none")
    bias = _normal(6, seed=2) if affine and kind == "layer" else None
    return Norm(kind, _normal(6, seed=1) if affine else None, bias, EPS)


def _normalised(norm: Norm, x: Tensor) -> Tensor:
    """The formula, dimension by dimension."""
    if norm.kind == "none":
        return x
    if norm.kind == "layer":
        x = x - x.sum(-1, keepdim=True) / x.shape[-1]
    y = x / ((x * x).sum(-1, keepdim=True) / x.shape[-1] + EPS).sqrt()
    y = y if norm.weight is None else y * norm.weight
    return y if norm.bias is None else y + norm.bias


NORMS = pytest.mark.parametrize(
    ("kind", "affine"),
    [("layer", True), ("layer", False), ("rms", True), ("rms", False), ("none", False)],
)


@NORMS
def test_norms_follow_their_formula(kind: str, affine: bool) -> None:
    norm, x = _norm(kind, affine), _normal(3, 4, 6, seed=0) * 2 + 1
    torch.testing.assert_close(norm(x), _normalised(norm, x))


@pytest.mark.parametrize("at_once", [1, 2, 3])
@pytest.mark.parametrize("with_bias", [True, False])
@NORMS
def test_a_projection_with_its_norm_folded_in_is_norm_then_projection(
    kind: str, affine: bool, with_bias: bool, at_once: int
) -> None:
    """Forward, and the backward that is written out by hand, of so many rows at once; a different
    stream in every row."""
    norm, x = _norm(kind, affine), (_normal(3, 4, 6, seed=0) * 2 + 1).requires_grad_()
    weight = _normal(3, 6, 5, seed=3)
    bias = _normal(3, 5, seed=4) if with_bias else None
    folded = NormedLinear(norm, weight, bias)
    expected = torch.einsum("ntd,nde->nte", _normalised(norm, x), weight)
    if bias is not None:
        expected = expected + bias[:, None]
    with torch.no_grad():
        y, saved = folded.forward(x)
    torch.testing.assert_close(y, expected.detach())

    grad = _normal(3, 4, 5, seed=5)
    (expected_grad,) = torch.autograd.grad(expected, x, grad)
    becomes_grad = x.detach().clone()
    with torch.no_grad():
        scratch = x.new_empty(at_once * x[0].numel())
        folded.backward_in_place(becomes_grad, y, saved, grad, scratch)
    torch.testing.assert_close(becomes_grad, expected_grad)


def test_folding_a_norm_leaves_the_model_s_weights_alone() -> None:
    weight, bias = _normal(3, 6, 5, seed=3), _normal(3, 5, seed=4)
    before = weight.clone(), bias.clone()
    NormedLinear(_norm("layer", True), weight, bias)
    assert torch.equal(weight, before[0])
    assert torch.equal(bias, before[1])


def _rotary(pairing: Any, n_tokens: int, n: int) -> Rotary:
    """Pair i turns by position / 10^i."""
    angles = torch.arange(n_tokens).double()[:, None] / 10.0 ** torch.arange(n // 2)
    if pairing == "half":
        angles = torch.cat((angles, angles), dim=-1)
    else:
        angles = angles.repeat_interleave(2, dim=-1)
    return Rotary(angles.cos()[None, None], angles.sin()[None, None], pairing)


@pytest.mark.parametrize("pairing", ["half", "adjacent"])
def test_rotary_turns_each_pair_by_its_angle_and_leaves_the_rest(pairing: str) -> None:
    """Turning is multiplication by e^(i angle) of the complex number that the pair makes."""
    x = _normal(2, 3, 5, 6, seed=0)
    turned = _rotary(pairing, 5, 4)(x)
    torch.testing.assert_close(turned[..., 4:], x[..., 4:], rtol=0, atol=0)
    pairs = [(0, 2), (1, 3)] if pairing == "half" else [(0, 1), (2, 3)]
    for i, (a, b) in enumerate(pairs):
        for position in range(5):
            angle = position / 10.0**i
            spin = complex(math.cos(angle), math.sin(angle))
            expected = torch.complex(x[:, :, position, a], x[:, :, position, b]) * spin
            torch.testing.assert_close(turned[:, :, position, a], expected.real)
            torch.testing.assert_close(turned[:, :, position, b], expected.imag)


def _attention(n_heads: int, n_kv_heads: int, joint: bool, cap: float | None) -> Attention:
    return Attention(
        project_in=NormedLinear(Norm("none"), torch.zeros(1, 1, 1), None),
        joint_rows=joint,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        scale=0.7,
        w_out=torch.zeros(n_heads, 3, 1),
        b_out=None,
        soft_cap=cap,
    )


@pytest.mark.parametrize("cap", [None, 0.5])
@pytest.mark.parametrize(("n_kv_heads", "joint"), [(4, False), (2, False), (4, True)])
def test_attention_follows_its_formula(n_kv_heads: int, joint: bool, cap: float | None) -> None:
    """One query, key and number at a time; every prompt has its own blocked keys."""
    n_heads, batch, seq, d = 4, 2, 5, 3
    q = _normal(n_heads, batch, seq, d, seed=0)
    k, v = (_normal(n_kv_heads, batch, seq, d, seed=seed) for seed in (1, 2))
    rows = torch.cat((q, k, v), dim=-1) if joint else torch.cat((q, k, v))
    draw = torch.Generator().manual_seed(3)
    blocked = torch.rand(batch, 1, seq, seq, generator=draw) < 0.4
    blocked[..., 0] = False
    attention = _attention(n_heads, n_kv_heads, joint, cap)
    z = attention.mix(rows.flatten(1, 2), batch, AttentionInputs(blocked)).view(q.shape)
    for head in range(n_heads):
        kv = head * n_kv_heads // n_heads
        for prompt in range(batch):
            for i in range(seq):
                weights = []
                for j in range(seq):
                    score = 0.7 * (q[head, prompt, i] @ k[kv, prompt, j]).item()
                    score = score if cap is None else cap * math.tanh(score / cap)
                    weights.append(0 if blocked[prompt, 0, i, j] else math.exp(score))
                expected = sum(w * v[kv, prompt, j] for j, w in enumerate(weights)) / sum(weights)
                torch.testing.assert_close(z[head, prompt, i], expected)


def test_a_query_that_may_see_no_key_stays_finite() -> None:
    """As padding on the left does: what it gives does not count, but NaN would spread."""
    rows = _normal(12, 5, 3, seed=0).requires_grad_()
    blocked = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    z = _attention(4, 4, False, None).mix(rows, 1, AttentionInputs(blocked))
    (gradient,) = torch.autograd.grad(z.sum(), rows)
    assert z.isfinite().all()
    assert gradient.isfinite().all()

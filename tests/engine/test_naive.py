"""The definition in the engine's README, run as it stands there, against the engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import sp_widget.engine
from tests import model_kinds
from tests.engine.test_edge_engine import N_PROMPTS, _model, _normal, _prepared


def _naive_logits() -> Any:
    """The function in the README's one block of Python."""
    readme = Path(sp_widget.engine.__file__).with_name("README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    namespace: dict[str, Any] = {"torch": torch}
    exec(code, namespace)
    return namespace["naive_logits"]


@pytest.mark.parametrize(
    ("kind", "separate_qkv", "seq_len"),
    [
        ("gpt2-deep", True, None),
        ("gpt2", False, model_kinds.N_TOKENS),
        ("neox-parallel", True, model_kinds.N_TOKENS),
        ("gemma2", True, None),
        ("native-gqa-rotary", True, None),
        ("native-attention-only", False, None),
    ],
)
def test_the_naive_version_gives_the_engine_s_logits_and_mask_gradients(
    kind: str, separate_qkv: bool, seq_len: int | None
) -> None:
    model = _model(kind, separate_qkv, seq_len)
    inputs, patch = _prepared(model)
    masks = _normal(N_PROMPTS, model.n_edges, seed=40).requires_grad_()
    results = []
    for logits in (
        _naive_logits()(model, masks, inputs, patch.sources),
        model.engine.run(masks, inputs, patch),
    ):
        weights = _normal(*logits.shape, seed=41)
        results.append((logits, *torch.autograd.grad((logits * weights).sum(), masks)))
    (slow, slow_gradient), (fast, fast_gradient) = results
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-9)
    size = slow_gradient.abs().max().item()
    torch.testing.assert_close(fast_gradient, slow_gradient, rtol=1e-6, atol=1e-9 * size)

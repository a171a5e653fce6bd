"""Attribution, baselines and ACDC against what auto-circuit 1.0.1 gave (`methods.json`)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import sp_widget as sp
from tests import reference

CASES: list[dict[str, Any]] = json.loads((reference.FOLDER / "methods.json").read_text())["cases"]


def _recorded(case: dict[str, Any]) -> dict[str, Tensor]:
    prefix = f"scores/{case['id']}/"
    with np.load(reference.FOLDER / "methods.npz") as stored:
        names = [name for name in stored.files if name.startswith(prefix)]
        return {name.removeprefix(prefix): torch.from_numpy(stored[name]) for name in names}


def _cases(method: str) -> Any:
    cases = [case for case in CASES if case["method"] == method]
    return pytest.mark.parametrize("case", cases, ids=lambda case: str(case["id"]))


def _assert_agree(scores: sp.PruneScores, expected: dict[str, Tensor]) -> None:
    assert set(scores) == set(expected)
    largest = max(value.abs().max().item() for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(scores[name], value, rtol=1e-4, atol=1e-4 * largest)


@_cases("mask_gradient")
def test_mask_gradients(case: dict[str, Any]) -> None:
    arguments = dict(case["kwargs"])
    if "ablation_type" in arguments:
        arguments["ablation_type"] = sp.AblationType[arguments["ablation_type"]]
    scores = sp.mask_gradient_prune_scores(
        reference.model("comp"), reference.dataloader(), progress=False, **arguments
    )
    _assert_agree(scores, _recorded(case))


def test_edge_attribution_patching_is_the_mask_gradient_of_the_logits_at_the_plain_run() -> None:
    case = next(case for case in CASES if case["id"] == 0)
    scores = sp.edge_attribution_patching_prune_scores(
        reference.model("comp"), reference.dataloader(), progress=False
    )
    _assert_agree(scores, _recorded(case))


@_cases("activation_magnitude")
def test_activation_magnitude(case: dict[str, Any]) -> None:
    scores = sp.activation_magnitude_prune_scores(reference.model("comp"), reference.dataloader())
    _assert_agree(scores, _recorded(case))


@_cases("acdc")
def test_acdc(case: dict[str, Any]) -> None:
    """The reference visits the edges of a layer in the order of a set, so not every edge has the
    same threshold; most have, and of each threshold about as many."""
    scores = sp.acdc_prune_scores(
        reference.model("comp"), reference.dataloader(), progress=False, **case["kwargs"]
    )
    expected = _recorded(case)
    pairs = [
        (ours, theirs)
        for name in expected
        for ours, theirs in zip(
            scores[name].flatten().tolist(), expected[name].flatten().tolist(), strict=True
        )
    ]
    same = sum(ours == pytest.approx(theirs, rel=1e-5) for ours, theirs in pairs)
    assert same >= 0.9 * len(pairs)
    ours, theirs = (Counter(f"{pair[side]:.3g}" for pair in pairs) for side in (0, 1))
    assert set(ours) == set(theirs)
    assert sum((ours - theirs).values()) <= 0.05 * len(pairs)

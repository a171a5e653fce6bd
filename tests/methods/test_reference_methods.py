"""Attribution, baselines and ACDC against what auto-circuit 1.0.1 gave (`methods.json`)."""

from __future__ import annotations

import json
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
    """The reference visits the edges of a layer in the order of a set, which nobody recorded: one
    draw of what random orders give. Its scores must look like another of ours: within the range of
    those of eight orders, mostly equal where these agree, and as many of each threshold."""
    expected = torch.cat([value.flatten() for _, value in sorted(_recorded(case).items())])
    exps, bases = case["kwargs"]["tao_exps"], case["kwargs"]["tao_bases"]
    method = sp.methods.get("acdc")
    config = method.Config(
        thresholds=tuple(base * 10.0**exp for base in bases for exp in exps),
        faithfulness_target=case["kwargs"]["faithfulness_target"],
    )
    found = []
    for seed in range(8):
        trainer = method.trainer(reference.model("comp"), reference.dataloader(), config)
        trainer._groups = _shuffled_within_layers(trainer.model, seed)
        scores = trainer.run(progress=False)
        found.append(torch.cat([value.flatten() for _, value in sorted(scores.items())]))
    ours = torch.stack(found)
    within = (expected >= ours.amin(0) * 0.999) & (expected <= ours.amax(0) * 1.001)
    assert within.float().mean() >= 0.9
    settled = (ours == ours[0]).all(0)
    same = torch.isclose(ours[0][settled], expected[settled], rtol=1e-5)
    assert settled.sum() >= 25
    assert same.float().mean() >= 0.8
    for threshold in (*config.thresholds, torch.inf):
        counts = torch.isclose(ours, torch.tensor(threshold), rtol=1e-4).sum(1)
        count = torch.isclose(expected, torch.tensor(threshold), rtol=1e-4).sum()
        assert counts.min() - 3 <= count <= counts.max() + 3


def _shuffled_within_layers(model: sp.PatchableModel, seed: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    layers = sorted({edge.dest.layer for edge in model.edges}, reverse=True)
    groups = []
    for layer in layers:
        edges = sorted((e for e in model.edges if e.dest.layer == layer), key=str)
        order = torch.randperm(len(edges), generator=draw).tolist()
        groups.append(model.graph.flat_index([edges[place] for place in order]))
    return groups

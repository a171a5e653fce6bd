"""Nodes, their masks and patched logits against the reference implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sp_widget.circuits.ablations import src_ablations
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from tests import reference

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures/reference_nodes/golden.json").read_text()
)


def _model(edges: str) -> PatchableModel:
    seq_len = 6 if edges == "tok" else None
    return patchable_model(reference.bridge(), factorized=False, slice_output=None, seq_len=seq_len)


@pytest.mark.parametrize("edges", CASES)
def test_sources_and_edges_are_the_reference_s(edges: str) -> None:
    model, expected = _model(edges), CASES[edges]
    sources = [[src.name, src.module_name, src.layer, src.src_idx] for src in model.srcs]
    assert sources == expected["sources"]
    found = sorted([edge.name, list(edge.patch_idx)] for edge in model.edges)
    assert found == expected["edges"]


@pytest.mark.parametrize("edges", CASES)
def test_patched_logits_match_the_reference(edges: str) -> None:
    model, expected = _model(edges), CASES[edges]
    assert model.patch_masks.keys() == expected["masks"].keys()
    for name, mask in model.patch_masks.items():
        mask.copy_(torch.tensor(expected["masks"][name]))
    n_prompts = len(expected["last_logits"])
    clean, corrupt = (reference.array(side)[:n_prompts] for side in ("clean", "corrupt"))
    with torch.no_grad(), patch_mode(model, src_ablations(model, clean)):
        logits = model(corrupt)[:, -1]
    torch.testing.assert_close(logits, torch.tensor(expected["last_logits"]), atol=1e-4, rtol=0)

"""The reference's users keep their model class and their numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sp_widget.circuits.ablations import src_ablations
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from tests import reference
from tests.legacy import hooked_models

pytestmark = hooked_models.MARKS


def _model(edges: str) -> PatchableModel:
    return patchable_model(hooked_models.reference_gpt2(), seq_len=6 if edges == "tok" else None)


@pytest.mark.parametrize("edges", reference.EDGES)
def test_every_mask_has_the_reference_s_module_and_shape(edges: str) -> None:
    shapes = {name: list(mask.shape) for name, mask in _model(edges).patch_masks.items()}
    assert shapes == reference.facts()[f"mask_shapes_{edges}"]


@pytest.mark.parametrize("edges", reference.EDGES)
def test_patched_logits_match_the_reference(edges: str) -> None:
    model, case = _model(edges), f"patched/{edges}/edge_patch/RESAMPLE/real"
    for name, mask in model.patch_masks.items():
        mask.copy_(reference.array(f"mask/{edges}/real/{name}"))
    batch = next(iter(reference.dataloader()))
    with torch.no_grad(), patch_mode(model, src_ablations(model, batch.clean)):
        logits = model(batch.corrupt)
    torch.testing.assert_close(logits, reference.array(case), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", reference.facts()["cases"], ids=lambda case: str(case["id"]))
def test_deterministic_training_ends_with_the_reference_s_scores(case: dict[str, Any]) -> None:
    reference.assert_training_agrees(_model(case["edges"]), case)

"""Graph and patched logits against the reference implementation."""

from __future__ import annotations

import pytest
import torch

from sp_widget.circuits.ablations import src_ablations
from sp_widget.engine.patchable_model import patch_mode
from sp_widget.types import AblationType
from tests import reference


@pytest.mark.parametrize("edges", reference.EDGES)
def test_every_edge_name_is_the_reference_s(edges: str) -> None:
    model = reference.model(edges)
    names = sorted(str(edge) for edge in model.edges)
    assert names == sorted(reference.facts()[f"edges_{edges}"])
    assert model.n_edges == reference.facts()[f"n_edges_{edges}"]


@pytest.mark.parametrize("edges", reference.EDGES)
def test_every_mask_has_the_reference_s_module_and_shape(edges: str) -> None:
    shapes = {name: list(mask.shape) for name, mask in reference.model(edges).patch_masks.items()}
    assert shapes == reference.facts()[f"mask_shapes_{edges}"]


def test_unpatched_logits_are_the_plain_model_s() -> None:
    model = reference.model("comp")
    for side in ("clean", "corrupt"):
        with torch.no_grad():
            logits = model(reference.array(side))
        torch.testing.assert_close(logits, reference.array(f"{side}_logits"), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", reference.facts()["patched"])
def test_patched_logits_match_the_reference(case: str) -> None:
    _, edges, patch_type, ablation, masks = case.split("/")
    model, dataloader = reference.model(edges), reference.dataloader()
    for name, mask in model.patch_masks.items():
        mask.copy_(reference.array(f"mask/{edges}/{masks}/{name}"))
    batch = next(iter(dataloader))
    tokens, other = (
        (batch.corrupt, batch.clean) if patch_type == "edge_patch" else (batch.clean, batch.corrupt)
    )
    ablation_type = AblationType[ablation]
    sample = dataloader if ablation_type.mean_over_dataset else other
    patch = src_ablations(model, sample, ablation_type)
    with torch.no_grad(), patch_mode(model, patch):
        logits = model(tokens)
    torch.testing.assert_close(logits, reference.array(case), atol=1e-4, rtol=0)

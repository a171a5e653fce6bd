"""Trained scores against the reference implementation.

The reference trains with mean ablation whatever its documentation says; the fixtures were made
for both that and resample ablation, and each case names its own.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.subnetwork_probing.function import subnetwork_probing_prune_scores
from tests import reference


@pytest.mark.parametrize("case", reference.facts()["cases"], ids=lambda case: str(case["id"]))
def test_deterministic_training_ends_with_the_reference_s_scores(case: dict[str, Any]) -> None:
    reference.assert_training_agrees(reference.model(case["edges"]), case)


@pytest.mark.parametrize("tree_optimisation", [False, True])
def test_stochastic_training_agrees_with_the_reference_on_average(tree_optimisation: bool) -> None:
    n_runs = 12
    model, dataloader = reference.model("comp"), reference.dataloader()
    runs = [
        subnetwork_probing_prune_scores(
            model,
            dataloader,
            regularize_lambda=1.0,
            init_val=DEFAULT_INIT_VAL,
            tree_optimisation=tree_optimisation,
            seed=seed,
            progress=False,
        )
        for seed in range(n_runs)
    ]
    prefix = f"hc/{int(tree_optimisation)}/"
    for name, mean in reference.arrays_under(f"{prefix}mean/").items():
        sd = reference.array(f"{prefix}sd/{name}")
        ours = torch.stack([run[name] for run in runs])
        standard_error = ((sd**2 + ours.var(0)) / n_runs).sqrt()
        assert ((ours.mean(0) - mean).abs() <= 5 * standard_error).all()

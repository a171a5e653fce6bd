"""Subnetwork probing as a method: its title, its chart and its recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.methods.base import Method, Preset
from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.mask_training import steps_for, target_for
from sp_widget.methods.series import EDGES, FAITHFULNESS, LOSS, REGULARIZER, VALIDATION
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.types import AblationType


def recipe(model: PatchableModel, dataloader: PromptDataLoader) -> SubnetworkProbingConfig:
    """Return the settings that need no tuning: see docs/results.md.

    A lambda for every prompt, so that one run serves circuits of all sizes, whatever the scale of
    the target. Small models and small batches take more steps.
    """
    steps = steps_for(model, dataloader)
    return SubnetworkProbingConfig(
        faithfulness_target=target_for(dataloader),
        learning_rate=round(60 / steps, 4),
        learning_rate_schedule="falling",
        steps=steps,
        regularize_lambda=1.0,
        lambda_schedule="per_prompt",
        lambda_unit="empty_circuit",
        init_val=0.0,
        tree_optimisation=True,
    )


_MASKS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "learning_rate_schedule": "constant",
    "steps": None,
    "lambda_schedule": "constant",
    "lambda_unit": "target",
    "mask_fn": "hard_concrete",
    "dropout_p": 0.0,
    "circuit_size": None,
    "ablation_type": AblationType.RESAMPLE,
}

PRESETS = (
    Preset(
        "reference",
        "Reference: values documented in auto-circuit",
        {
            **_MASKS,
            "epochs": 20,
            "regularize_lambda": 10.0,
            "init_val": DEFAULT_INIT_VAL,
            "tree_optimisation": False,
            "faithfulness_target": "kl_div",
        },
    ),
    Preset(
        "tracr",
        "Compiled models (tracr), as published",
        {
            **_MASKS,
            "epochs": 500,
            "regularize_lambda": 1e-3,
            "init_val": DEFAULT_INIT_VAL,
            "tree_optimisation": False,
        },
    ),
    Preset(
        "ioi",
        "Text models (IOI): a subgraph from the whole model",
        {
            **_MASKS,
            "epochs": 50,
            "regularize_lambda": 1.0,
            "init_val": -DEFAULT_INIT_VAL,
            "tree_optimisation": True,
            "faithfulness_target": "kl_div",
        },
    ),
)

METHOD = Method(
    name="subnetwork_probing",
    title=SubnetworkProbing.title,
    summary="Trains a mask on every edge towards one small, faithful circuit.",
    Config=SubnetworkProbingConfig,
    trainer=SubnetworkProbing,
    series=(LOSS, FAITHFULNESS, REGULARIZER, VALIDATION, EDGES),
    recipe=recipe,
    presets=PRESETS,
)

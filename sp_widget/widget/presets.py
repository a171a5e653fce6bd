"""Recipes: settings that are known to do well, to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sp_widget.methods.mask_functions import DEFAULT_INIT_VAL
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.types import AblationType

CUSTOM = "custom"
"""The name of no preset: some setting differs from all of them."""


@dataclass(frozen=True)
class Preset:
    """A recipe; what it does not state, it leaves as it is."""

    name: str
    label: str
    values: Mapping[str, Any]
    """Field of `SubnetworkProbingConfig` to value."""

    def applied_to(self, config: SubnetworkProbingConfig) -> SubnetworkProbingConfig:
        """`config` with the settings of the recipe."""
        return replace(config, **self.values)

    def fits(self, config: SubnetworkProbingConfig) -> bool:
        """Whether `config` has all settings of the recipe."""
        return all(getattr(config, name) == value for name, value in self.values.items())


_MASKS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "mask_fn": "hard_concrete",
    "dropout_p": 0.0,
    "circuit_size": None,
    "ablation_type": AblationType.RESAMPLE,
}

PRESETS: tuple[Preset, ...] = (
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


def presets_for(config: SubnetworkProbingConfig) -> tuple[Preset, ...]:
    """All presets, with the settings that somebody brought along first, if they are others."""
    if preset_of(config, PRESETS) != CUSTOM:
        return PRESETS
    stated = {name for preset in PRESETS for name in preset.values}
    given = {name: getattr(config, name) for name in sorted(stated)}
    return (Preset("given", "As given from code", given), *PRESETS)


def preset_of(config: SubnetworkProbingConfig, presets: Sequence[Preset]) -> str:
    """The name of the preset that `config` follows, or `CUSTOM`."""
    return next((preset.name for preset in presets if preset.fits(config)), CUSTOM)

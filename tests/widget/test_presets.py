"""Presets are the recipes of the literature and of the bundled tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sp_widget import tasks
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.presets import CUSTOM, PRESETS, Preset, preset_of, presets_for


def preset(name: str) -> Preset:
    return next(each for each in PRESETS if each.name == name)


def test_the_reference_values_are_the_defaults() -> None:
    assert preset_of(SubnetworkProbingConfig(), PRESETS) == "reference"


def test_the_ioi_preset_is_what_the_bundled_task_recommends() -> None:
    assert preset("ioi").fits(tasks.load("tiny-ioi").config)


@pytest.mark.parametrize("task", ["tracr-xproportion", "tracr-reverse"])
def test_the_tracr_preset_trains_as_long_as_the_paper_and_is_else_what_the_tasks_recommend(
    task: str,
) -> None:
    config = tasks.load(task).config
    applied = preset("tracr").applied_to(config)
    assert applied == replace(config, epochs=500)


@pytest.mark.parametrize("name", ["reference", "tracr", "ioi"])
def test_a_preset_that_was_applied_is_recognised_whatever_it_leaves_open(name: str) -> None:
    config = SubnetworkProbingConfig(epochs=3, seed=9, dropout_p=0.5, mask_fn=None)
    applied = preset(name).applied_to(config)
    assert preset_of(applied, PRESETS) == name
    assert applied.seed == 9
    assert preset_of(replace(applied, learning_rate=0.7), PRESETS) == CUSTOM


def test_settings_of_one_s_own_are_offered_to_go_back_to() -> None:
    config = SubnetworkProbingConfig(epochs=3)
    offered = presets_for(config)
    assert [each.name for each in offered] == ["given", *(each.name for each in PRESETS)]
    elsewhere = preset("ioi").applied_to(config)
    assert offered[0].applied_to(elsewhere) == config
    assert presets_for(SubnetworkProbingConfig()) == PRESETS

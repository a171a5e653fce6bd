"""The form of the parameters: what is shown, and what typed text means."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from sp_widget.circuits.patch_cache import CACHE_MODES
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.types import AblationType
from sp_widget.widget.form import fields_for, parse_values, values_for

LABELS = {
    "learning_rate": "Learning rate",
    "epochs": "Epochs",
    "regularize_lambda": "Lambda",
    "mask_fn": "Mask function",
    "faithfulness_target": "Faithfulness target",
    "ablation_type": "Ablation",
    "circuit_size": "Circuit size",
    "dropout_p": "Dropout",
    "init_val": "Initial mask value",
    "tree_optimisation": "Tree optimisation",
    "avoid_lambda": "Avoid lambda",
    "seed": "Seed",
    "evaluate_every": "Evaluate every",
    "hard_circuit": "Hard circuit",
    "cache": "Cache",
    "recompute": "Recompute",
    "steps": "Steps",
    "learning_rate_schedule": "Learning rate schedule",
    "lambda_schedule": "Lambda schedule",
    "lambda_unit": "Lambda unit",
    "expected_l0": "Expected L0",
    "completeness_lambda": "Completeness",
    "warm_start": "Warm start",
    "start": "Starting circuit",
}

UNUSUAL = SubnetworkProbingConfig(
    learning_rate=1e-7,
    epochs=3,
    regularize_lambda=1 / 3,
    mask_fn=None,
    dropout_p=0.25,
    init_val=-math.pi,
    circuit_size=12,
    tree_optimisation=True,
    avoid_lambda=1e22,
    faithfulness_target="logit_diff_percent",
    ablation_type=AblationType.TOKENWISE_MEAN_CLEAN_AND_CORRUPT,
    seed=2**63 - 1,
    evaluate_every=None,
    hard_circuit="top_k",
    cache="host",
    recompute=True,
    steps=7,
    learning_rate_schedule="falling",
    lambda_schedule="exponential",
    lambda_unit="empty_circuit",
    expected_l0=True,
    completeness_lambda=0.5,
    warm_start=True,
)


def test_every_parameter_that_can_be_typed_has_a_field_with_its_label() -> None:
    fields = fields_for(SubnetworkProbingConfig())
    assert {field["name"]: field["label"] for field in fields} == LABELS
    parameters = {field.name for field in dataclasses.fields(SubnetworkProbingConfig)}
    # Edges are given from code.
    assert parameters - set(LABELS) == {"avoid_edges"}


def test_every_field_explains_itself() -> None:
    assert all(field["help"].endswith(".") for field in fields_for(SubnetworkProbingConfig()))


def test_every_field_names_a_section_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "method.md").read_text(encoding="utf-8")
    for field in fields_for(SubnetworkProbingConfig()):
        assert f"\n## {field['section']}\n" in page


@pytest.mark.parametrize("config", [SubnetworkProbingConfig(), UNUSUAL])
def test_the_bounds_that_the_browser_steps_within_are_those_of_the_config(
    config: SubnetworkProbingConfig,
) -> None:
    for field in fields_for(config):
        for bound in (field["min"], field["max"]):
            # Where the bound itself is not allowed, a person still steps towards it.
            exclusive = (field["name"], bound) in {("learning_rate", 0), ("dropout_p", 1)}
            if bound is not None and not exclusive:
                value = int(bound) if field["kind"] == "integer" else bound
                assert SubnetworkProbingConfig.problems({field["name"]: value}) == {}


def test_without_validation_data_its_fields_say_that_they_are_of_no_use() -> None:
    told = {
        field["name"]: field["unavailable"]
        for field in fields_for(SubnetworkProbingConfig(), validation=False)
    }
    assert {name for name, reason in told.items() if reason} == {"evaluate_every", "hard_circuit"}
    assert "validation_dataloader" in told["evaluate_every"]
    assert not any(field["unavailable"] for field in fields_for(SubnetworkProbingConfig()))


def test_only_learning_rate_and_weights_may_change_while_training() -> None:
    live = {field["name"] for field in fields_for(SubnetworkProbingConfig()) if field["live"]}
    assert live == {"learning_rate", "regularize_lambda", "completeness_lambda"}


def test_select_fields_offer_every_choice_and_hold_one_of_them() -> None:
    fields = {field["name"]: field for field in fields_for(UNUSUAL)}
    choices = {
        name: [option["value"] for option in field["options"]]
        for name, field in fields.items()
        if field["kind"] == "select"
    }
    assert choices == {
        "faithfulness_target": [
            "kl_div",
            "mse",
            "answer",
            "wrong_answer",
            "logit_diff",
            "correct_percent",
            "logit_diff_percent",
        ],
        "ablation_type": [kind.name for kind in AblationType],
        "mask_fn": ["hard_concrete", "sigmoid", "none"],
        "hard_circuit": ["threshold", "top_k"],
        "cache": list(CACHE_MODES),
        "learning_rate_schedule": ["constant", "falling"],
        "lambda_schedule": ["constant", "linear", "exponential", "per_prompt"],
        "lambda_unit": ["target", "empty_circuit"],
        "start": ["none", "whole_model", "empty"],
    }
    assert {name: fields[name]["value"] for name in choices} == {
        "faithfulness_target": "logit_diff_percent",
        "ablation_type": "TOKENWISE_MEAN_CLEAN_AND_CORRUPT",
        "mask_fn": "none",
        "hard_circuit": "top_k",
        "cache": "host",
        "learning_rate_schedule": "falling",
        "lambda_schedule": "exponential",
        "lambda_unit": "empty_circuit",
        "start": "none",
    }


def test_the_form_of_one_config_does_not_change_that_of_another() -> None:
    fields_for(UNUSUAL)
    values = {field["name"]: field["value"] for field in fields_for(SubnetworkProbingConfig())}
    assert values == values_for(SubnetworkProbingConfig())
    assert values["regularize_lambda"] == "10"
    assert values["circuit_size"] == ""


@pytest.mark.parametrize("config", [SubnetworkProbingConfig(), UNUSUAL])
def test_what_is_shown_reads_back_as_exactly_the_same_config(
    config: SubnetworkProbingConfig,
) -> None:
    parsed, problems = parse_values(SubnetworkProbingConfig, values_for(config))
    assert problems == {}
    assert SubnetworkProbingConfig(**parsed) == config


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", " .5 ", 0.5),
        ("regularize_lambda", "0", 0.0),
        ("init_val", "-2", -2.0),
        ("epochs", "7", 7),
        ("epochs", "1e3", 1000),
        ("epochs", "20.0", 20),
        ("seed", "9007199254740993", 9007199254740993),
        ("seed", "", None),
        ("circuit_size", "  ", None),
        ("mask_fn", "none", None),
        ("mask_fn", "sigmoid", "sigmoid"),
        ("ablation_type", "ZERO", AblationType.ZERO),
        ("faithfulness_target", "mse", "mse"),
        ("tree_optimisation", True, True),
        ("epochs", 5, 5),
    ],
)
def test_typed_text_becomes_a_typed_value(name: str, text: object, value: object) -> None:
    parsed, problems = parse_values(SubnetworkProbingConfig, {name: text})
    assert problems == {}
    assert parsed == {name: value}
    assert type(parsed[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("learning_rate", "fast", "wanted a number such as 0.001 or 1e-3, got 'fast'"),
        ("learning_rate", "0,1", "wanted a number such as 0.001 or 1e-3, got '0,1'"),
        ("learning_rate", "", "wanted a number such as 0.001 or 1e-3, got ''"),
        ("learning_rate", "-1", "wanted a number above 0, at most 1e+30, got -1.0"),
        ("learning_rate", "nan", "wanted a number above 0, at most 1e+30, got nan"),
        ("dropout_p", "1", "wanted a number of at least 0, below 1, got 1.0"),
        ("epochs", "3.5", "wanted a whole number, got '3.5'"),
        ("epochs", "", "wanted a whole number, got ''"),
        ("epochs", "nan", "wanted a whole number, got 'nan'"),
        ("epochs", "inf", "wanted a whole number, got 'inf'"),
        ("epochs", "1e999999999", "wanted a whole number, got '1e999999999'"),
        ("epochs", "0", "wanted a whole number of at least 1, at most 1000000, got 0"),
        ("epochs", True, "wanted a whole number of at least 1, at most 1000000, got True"),
        (
            "circuit_size",
            "0",
            "wanted None (as few as possible) or a whole number of at least 1, "
            "at most 9007199254740992, got 0",
        ),
        (
            "mask_fn",
            "softmax",
            "wanted one of ['hard_concrete', 'sigmoid', None], got 'softmax'",
        ),
    ],
)
def test_wrong_text_is_explained(name: str, text: object, reason: str) -> None:
    assert parse_values(SubnetworkProbingConfig, {name: text}) == ({}, {name: reason})


def test_what_is_right_is_kept_beside_what_is_wrong() -> None:
    raw = {"epochs": "5", "learning_rate": "x", "ablation_type": "NO"}
    parsed, problems = parse_values(SubnetworkProbingConfig, raw)
    assert parsed == {"epochs": 5}
    assert set(problems) == {"learning_rate", "ablation_type"}


@pytest.mark.parametrize("name", ["avoid_edges", "learning rate"])
def test_a_name_without_a_field_is_a_problem(name: str) -> None:
    parsed, problems = parse_values(SubnetworkProbingConfig, {name: "1"})
    assert parsed == {}
    assert f"got {name!r}" in problems[name]

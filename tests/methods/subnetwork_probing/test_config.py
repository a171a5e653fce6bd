"""The parameters: defaults, what is accepted, and what is said about the rest."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.types import AblationType

BAD: list[tuple[str, Any, str]] = [
    ("learning_rate", 0, "a number above 0"),
    ("learning_rate", -0.1, "a number above 0"),
    ("learning_rate", math.nan, "a number above 0"),
    ("learning_rate", math.inf, "a number above 0"),
    ("learning_rate", "0.1", "a number above 0"),
    ("learning_rate", True, "a number above 0"),
    ("learning_rate", None, "a number above 0"),
    ("learning_rate", 10**400, "a number above 0"),
    ("learning_rate", 1e40, "a number above 0, at most 1e+30"),
    ("epochs", 0, "a whole number of at least 1"),
    ("epochs", 2.0, "a whole number of at least 1"),
    ("epochs", True, "a whole number of at least 1"),
    ("regularize_lambda", -1e-9, "a number of at least 0"),
    ("mask_fn", "relu", "one of ['hard_concrete', 'sigmoid', None]"),
    ("mask_fn", "None", "one of ['hard_concrete', 'sigmoid', None]"),
    ("dropout_p", 1.0, "a number of at least 0, below 1"),
    ("dropout_p", -0.1, "a number of at least 0, below 1"),
    ("init_val", math.inf, "a number at most 1e+30"),
    ("circuit_size", 0, "None (as few as possible) or a whole number of at least 1"),
    ("circuit_size", 2.5, "None (as few as possible) or a whole number of at least 1"),
    ("tree_optimisation", 1, "True or False"),
    ("tree_optimisation", "False", "True or False"),
    ("avoid_lambda", -1, "a number of at least 0"),
    ("faithfulness_target", "kl", "one of ['kl_div', 'mse', 'answer', 'wrong_answer'"),
    ("ablation_type", "RESAMPLE", "one of [<AblationType.RESAMPLE"),
    ("seed", -1, "None (random) or a whole number of at least 0, at most 9223372036854775807"),
    ("seed", 2**63, "None (random) or a whole number of at least 0, at most 9223372036854775807"),
    ("seed", 1.5, "None (random) or a whole number of at least 0, at most 9223372036854775807"),
    ("evaluate_every", 0, "None (never) or a whole number of at least 1"),
    ("hard_circuit", "top", "one of ['threshold', 'top_k']"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), BAD)
def test_a_bad_value_is_refused_with_its_name_what_is_wanted_and_what_came(
    name: str, value: Any, wanted: str
) -> None:
    with pytest.raises(ArgumentError) as error:
        SubnetworkProbingConfig(**{name: value})
    message = str(error.value)
    assert error.value.argument == name
    assert message.startswith(f"{name}: wanted {wanted}")
    # A very long value is cut in the middle.
    got = message.rpartition(", got ")[2]
    assert got == repr(value) or (len(got) <= 210 and got[:50] == repr(value)[:50])


@pytest.mark.parametrize(("name", "value", "wanted"), BAD)
def test_problems_say_the_same_without_raising(name: str, value: Any, wanted: str) -> None:
    problems = SubnetworkProbingConfig.problems({"init_val": 1.0, "epochs": 3, name: value})
    assert list(problems) == [name]
    assert problems[name].startswith(f"wanted {wanted}")


def test_problems_are_found_in_every_field_at_once() -> None:
    problems = SubnetworkProbingConfig.problems({"epochs": 0, "dropout_p": 2, "seed": 1})
    assert set(problems) == {"epochs", "dropout_p"}


def test_an_unknown_field_is_a_problem() -> None:
    assert list(SubnetworkProbingConfig.problems({"lr": 0.1})) == ["lr"]
    with pytest.raises(TypeError, match="lr"):
        SubnetworkProbingConfig(lr=0.1)  # type: ignore[call-arg]


def test_defaults_are_those_of_the_reference() -> None:
    config = SubnetworkProbingConfig()
    assert dataclasses.asdict(config) == {
        "learning_rate": 0.1,
        "epochs": 20,
        "regularize_lambda": 10,
        "mask_fn": "hard_concrete",
        "dropout_p": 0.0,
        "init_val": pytest.approx(math.log(5)),
        "circuit_size": None,
        "tree_optimisation": False,
        "avoid_edges": frozenset(),
        "avoid_lambda": 1.0,
        "faithfulness_target": "kl_div",
        "ablation_type": AblationType.RESAMPLE,
        "seed": None,
        "evaluate_every": 20,
        "hard_circuit": "threshold",
        "cache": "auto",
        "recompute": False,
        # Not in the reference: as if they were not there.
        "steps": None,
        "learning_rate_schedule": "constant",
        "lambda_schedule": "constant",
        "lambda_unit": "target",
        "expected_l0": False,
        "completeness_lambda": 0.0,
        "warm_start": False,
        "start": None,
    }
    assert SubnetworkProbingConfig.problems(vars(config)) == {}


@pytest.mark.parametrize(
    "values",
    [
        {"regularize_lambda": 0},
        {"mask_fn": None},
        {"dropout_p": 0.999},
        {"init_val": -3},
        {"circuit_size": 1},
        {"seed": 0},
        {"seed": 2**63 - 1},
        {"ablation_type": AblationType.ZERO},
    ],
)
def test_values_at_the_edge_of_what_is_allowed_are_accepted(values: dict[str, Any]) -> None:
    config = SubnetworkProbingConfig(**values)
    assert all(getattr(config, name) == value for name, value in values.items())


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SubnetworkProbingConfig().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize("kind", [list, set, tuple, frozenset])
def test_avoided_edges_may_come_in_any_collection(kind: Any) -> None:
    edges = list(Graph([BlockShape(1, 1)]).edges)[:2]
    assert SubnetworkProbingConfig(avoid_edges=kind(edges)).avoid_edges == frozenset(edges)


def test_avoided_edges_may_be_none_as_in_the_reference() -> None:
    none: Any = None
    assert SubnetworkProbingConfig(avoid_edges=none).avoid_edges == frozenset()


@pytest.mark.parametrize("edges", [["A0.0->MLP 0"], "A0.0->MLP 0", 3, frozenset(["A0.0->MLP 0"])])
def test_avoided_edges_that_are_no_edges_are_refused(edges: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^avoid_edges: wanted"):
        SubnetworkProbingConfig(avoid_edges=edges)

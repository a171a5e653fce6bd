"""Scores get their name in the notebook, and nobody loses a variable."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import StateError
from sp_widget.graph.edge_graph import BlockShape, Graph
from sp_widget.widget.namespace import Delivery, name_problem, notebook_variables

GRAPH = Graph([BlockShape(n_heads=1, n_kv_heads=1)])
SCORES = PruneScores(GRAPH.split(torch.ones(GRAPH.n_edges)), GRAPH)


@pytest.mark.parametrize("name", ["prune_scores", "_x", " scores ", "größe", "match"])
def test_names_of_variables_are_fine(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "got nothing"),
        ("2nd", "'2nd'"),
        ("a b", "'a b'"),
        ("scores.mine", "'scores.mine'"),
        ("lambda", "keyword"),
        ("None", "keyword"),
        ("print", "built into Python"),
    ],
)
def test_other_names_are_explained(name: str, reason: str) -> None:
    assert reason in name_problem(name)


def test_a_free_name_gets_the_scores() -> None:
    variables: dict[str, Any] = {}
    delivery = Delivery("mine", lambda: variables)
    delivery.deliver(SCORES)
    assert variables["mine"] is SCORES
    assert delivery.question == ""
    assert "variable mine" in delivery.outcome


def test_older_scores_are_replaced_without_a_question() -> None:
    variables: dict[str, Any] = {
        "mine": PruneScores(GRAPH.split(torch.zeros(GRAPH.n_edges)), GRAPH)
    }
    Delivery("mine", lambda: variables).deliver(SCORES)
    assert variables["mine"] is SCORES


@pytest.mark.parametrize("value", [None, 0, {"a": 1}, [1, 2]], ids=repr)
def test_anything_else_stays_until_the_person_agrees(value: Any) -> None:
    variables = {"mine": value}
    delivery = Delivery("mine", lambda: variables)
    delivery.deliver(SCORES)
    assert variables["mine"] is value
    assert type(value).__name__ in delivery.question
    delivery.overwrite()
    assert variables["mine"] is SCORES
    assert delivery.question == ""


def test_a_person_may_keep_the_variable_and_choose_another_name() -> None:
    variables: dict[str, Any] = {"mine": 1}
    delivery = Delivery("mine", lambda: variables)
    delivery.deliver(SCORES)
    delivery.keep()
    assert delivery.question == ""
    assert "prune_scores" in delivery.outcome
    delivery.rename("yours")
    assert variables == {"mine": 1, "yours": SCORES}


def test_scores_wait_for_a_name() -> None:
    variables: dict[str, Any] = {}
    delivery = Delivery("mine", lambda: variables)
    delivery.rename(None)
    delivery.deliver(SCORES)
    assert variables == {}
    delivery.rename("yours")
    assert variables == {"yours": SCORES}


def test_a_new_name_before_the_end_saves_nothing_yet() -> None:
    variables: dict[str, Any] = {}
    delivery = Delivery("mine", lambda: variables)
    delivery.rename("yours")
    assert variables == {}
    delivery.deliver(SCORES)
    assert variables == {"yours": SCORES}


def test_forgotten_scores_are_not_saved_under_a_new_name() -> None:
    variables: dict[str, Any] = {"mine": 1}
    delivery = Delivery("mine", lambda: variables)
    delivery.deliver(SCORES)
    delivery.forget()
    assert (delivery.question, delivery.outcome) == ("", "")
    delivery.rename("yours")
    assert variables == {"mine": 1}


@pytest.mark.parametrize("answer", ["overwrite", "keep"])
def test_an_answer_without_a_question_is_refused(answer: str) -> None:
    with pytest.raises(StateError):
        getattr(Delivery("mine", dict), answer)()


def test_the_variable_is_found_by_the_name_that_python_reads() -> None:
    """`ﬁt` is written with a ligature; Python reads it as `fit`."""
    variables: dict[str, Any] = {}
    Delivery("ﬁt", lambda: variables).deliver(SCORES)
    assert eval("ﬁt", variables) is SCORES


def test_outside_of_a_notebook_nothing_is_assigned() -> None:
    assert notebook_variables() is None
    delivery = Delivery("mine")
    delivery.deliver(SCORES)
    assert "prune_scores" in delivery.outcome


def test_the_training_that_began_last_gets_the_name() -> None:
    """Also where the one before it ends later."""
    variables: dict[str, Any] = {}
    woken: list[str] = []

    def begun(name: str) -> Delivery:
        delivery = Delivery(
            "mine",
            lambda: variables,
            under_way=lambda: True,
            changed=lambda: woken.append(name),
        )
        delivery.begin()
        return delivery

    former, later = begun("former"), begun("later")
    assert woken == ["former"]
    assert "belongs to a training that began later" in former.outcome
    assert "was to get the scores of another training" in later.outcome
    later.deliver(SCORES)
    others = PruneScores(GRAPH.split(torch.zeros(GRAPH.n_edges)), GRAPH)
    former.deliver(others)
    assert variables == {"mine": SCORES}
    assert "in .prune_scores of this widget" in former.outcome
    # A name that a person types is a wish of its own.
    former.rename("hers")
    assert variables == {"mine": SCORES, "hers": others}
    former.forget()
    former.rename("mine")
    former.begin()
    former.deliver(others)
    assert variables["mine"] is others


def test_a_training_that_is_over_loses_no_name() -> None:
    variables: dict[str, Any] = {}
    first = Delivery("mine", lambda: variables)
    first.begin()
    first.deliver(SCORES)
    second = Delivery("mine", lambda: variables)
    second.begin()
    assert (first.outcome, second.outcome) == ("The scores are in the variable mine.", "")

"""Edits of the fields become a config, or a problem beside the field."""

from __future__ import annotations

from sp_widget.graph.edge_graph import DestNode, Edge, SrcNode
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.form import Form

CONFIG = SubnetworkProbingConfig(learning_rate=0.5, epochs=7)


def test_good_values_make_the_config_and_get_their_canonical_spelling() -> None:
    form = Form.of(CONFIG).edited({"learning_rate": "1e-3", "epochs": " 9 "}, under_way=False)
    assert form.config == SubnetworkProbingConfig(learning_rate=0.001, epochs=9)
    assert (form.values["learning_rate"], form.values["epochs"]) == ("0.001", "9")
    assert form.problems == {}


def test_a_bad_value_stays_as_typed_and_the_config_as_it_was() -> None:
    form = Form.of(CONFIG).edited({"learning_rate": "-1", "epochs": "9"}, under_way=False)
    assert form.config == SubnetworkProbingConfig(learning_rate=0.5, epochs=9)
    assert form.values["learning_rate"] == "-1"
    assert list(form.problems) == ["learning_rate"]


def test_the_problem_goes_when_the_value_is_put_right() -> None:
    wrong = Form.of(CONFIG).edited({"epochs": "none"}, under_way=False)
    assert list(wrong.problems) == ["epochs"]
    right = wrong.edited({**wrong.values, "epochs": "3"}, under_way=False)
    assert right.problems == {}
    assert right.config.epochs == 3


def test_under_way_only_live_parameters_change() -> None:
    form = Form.of(CONFIG).edited(
        {"epochs": "100", "regularize_lambda": "2", "dropout_p": "x"}, under_way=True
    )
    assert form.config == SubnetworkProbingConfig(learning_rate=0.5, epochs=7, regularize_lambda=2)
    assert form.values["epochs"] == "7"
    assert form.problems == {}


def test_avoid_edges_survive_an_edit() -> None:
    source = SrcNode("Resid Start", "blocks.0.hook_resid_pre", 0)
    end = DestNode("Resid End", "blocks.0.hook_resid_post", 1)
    avoided = frozenset({Edge(source, end)})
    config = SubnetworkProbingConfig(avoid_edges=avoided)
    form = Form.of(config).edited({"epochs": "3"}, under_way=False)
    assert form.config.avoid_edges == avoided


def test_a_problem_found_at_the_start_goes_with_the_next_edit() -> None:
    form = Form.of(CONFIG).with_problem("circuit_size", "wanted at most 9 edges, got 10")
    assert "circuit_size" in form.problems
    assert form.edited({"circuit_size": "9"}, under_way=False).problems == {}

"""Choosing a method in the panel: its fields, what is kept, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sp_widget import methods
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE
from tests.widget.browser_messages import edit
from tests.widget.conftest import CONFIG


def choose_method(probe: SubnetworkProbingWidget, name: str) -> None:
    """What the panel sends."""
    probe.panel._handle_message(None, {"type": "method", "method": name}, [])


def message(probe: SubnetworkProbingWidget) -> str:
    probe._publisher.flush()
    return str(probe.panel.status["message"])


def test_every_method_is_offered_with_what_it_is_for(probe: SubnetworkProbingWidget) -> None:
    assert [each["value"] for each in probe.panel.methods] == [
        name for name in methods.names() if name != "ground_truth"
    ]
    assert all(each["summary"].endswith(".") for each in probe.panel.methods)
    assert probe.panel.method == "subnetwork_probing"


def test_fields_and_values_of_another_method_come_in_one_message(
    probe: SubnetworkProbingWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        probe.panel.comm, "send", lambda data, **_: sent.append(data.get("state", {}))
    )
    choose_method(probe, "edge_pruning")
    (state,) = [state for state in sent if "method" in state]
    assert {field["name"] for field in state["fields"]} == set(state["values"])
    # Not again with an edit: fields that are built anew lose what is being typed.
    sent.clear()
    edit(probe, epochs="5")
    assert not any("fields" in state for state in sent)


def test_what_was_entered_is_there_when_a_person_comes_back(
    probe: SubnetworkProbingWidget,
) -> None:
    edit(probe, regularize_lambda="3", learning_rate="fast")
    choose_method(probe, "acdc")
    assert "regularize_lambda" not in probe.panel.values
    assert probe.panel.problems == {}
    edit(probe, thresholds="0.5, 1e-2")
    assert probe.config == methods.get("acdc").Config(thresholds=(0.01, 0.5))
    choose_method(probe, "subnetwork_probing")
    assert probe.panel.values["regularize_lambda"] == "3"
    assert probe.panel.values["learning_rate"] == "fast"
    assert list(probe.panel.problems) == ["learning_rate"]
    choose_method(probe, "acdc")
    assert probe.panel.values["thresholds"] == "0.01, 0.5"


def test_an_edit_of_the_method_that_was_left_comes_too_late(
    probe: SubnetworkProbingWidget,
) -> None:
    stale = {**probe.panel.values, "learning_rate": "0.9"}
    choose_method(probe, "edge_pruning")
    before = probe.config
    state = {"values": stale}
    probe.panel._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert probe.config == before
    assert probe.panel.problems == {}
    assert set(probe.panel.values) == {field["name"] for field in probe.panel.fields}


def test_the_method_stays_until_a_reset(probe: SubnetworkProbingWidget) -> None:
    probe.start()
    probe.wait(PATIENCE)
    choose_method(probe, "acdc")
    assert probe.panel.method == "subnetwork_probing"
    assert message(probe) == "cannot choose a method: reset the run first"
    probe.reset()
    choose_method(probe, "acdc")
    assert probe.panel.method == "acdc"


def test_an_unknown_method_is_refused(probe: SubnetworkProbingWidget) -> None:
    choose_method(probe, "x" * 10_000)
    assert "method: wanted one of subnetwork_probing" in message(probe)
    assert len(message(probe)) < 700
    assert probe.config == CONFIG


@pytest.mark.parametrize("name", [name for name in methods.names() if name != "ground_truth"])
def test_every_method_runs_from_the_panel(
    make_probe: Callable[..., SubnetworkProbingWidget], name: str
) -> None:
    probe = make_probe()
    choose_method(probe, name)
    assert probe.panel.problems == {}
    if "steps" in probe.panel.values:
        edit(probe, steps="3")
    if name == "acdc":
        edit(probe, thresholds="0.1")
    probe.start()
    probe.wait(PATIENCE)
    assert probe.panel.status["state"] == "done"
    labels = [trace["label"] for trace in probe.chart.tools.traces]
    assert set(labels) >= {each.label for each in methods.get(name).series_for(False)}
    assert f"sp.methods.get({name!r})" in probe.as_code()

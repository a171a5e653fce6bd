"""Edges and nodes switched by hand: measured in the background, kept under a name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import traitlets

import sp_widget as sp
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.circuit_meter import CircuitMeter
from sp_widget.widget.circuit import CircuitView
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE

N_EDGES = 20


@pytest.fixture
def view(model: PatchableModel, prompts: PromptDataLoader) -> Iterator[CircuitView]:
    scores = torch.arange(model.n_edges).float()
    view = CircuitView(
        model, prune_scores=model.graph.split(scores), n_edges=N_EDGES, dataloader=prompts
    )
    yield view
    view.close()


def until_measured(view: CircuitView, key: str, *parts: str) -> dict[str, Any]:
    """Wait for these parts of what is measured of a circuit."""
    arrived = threading.Event()

    def look(_: object = None) -> None:
        known = view.measured["key"] == key
        if known and all(view.measured[part] is not None for part in parts):
            arrived.set()

    view.observe(look, "measured")
    look()
    assert arrived.wait(PATIENCE), view.measured
    view.unobserve(look, "measured")
    return dict(view.measured)


def sent(view: CircuitView, **state: Any) -> None:
    view._handle_msg({"content": {"data": {"method": "update", "state": state}}, "buffers": []})


def test_a_switched_node_is_measured_beside_the_slider_s_circuit(
    view: CircuitView, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    before = [str(edge) for edge in view.edges]
    assert len(before) == N_EDGES
    node = view.edges[0].src.name
    sent(view, switches=[f"-{node}"])
    after = [edge for edge in view.edges if edge.src.name == node]
    assert after == []
    found = until_measured(view, f"{N_EDGES} -{node}", "circuit", "unedited")

    meter = CircuitMeter(model, prompts)

    def loss(edges: list[sp.Edge]) -> float:
        circuit = torch.zeros(model.n_edges, dtype=torch.bool)
        circuit[model.graph.flat_index(edges)] = True
        return meter.measure(circuit)

    by_name = {str(edge): edge for edge in model.edges}
    assert found["circuit"] == pytest.approx(loss(view.edges))
    assert found["unedited"] == pytest.approx(loss([by_name[name] for name in before]))
    assert (found["metric"], found["note"]) == ("KL", "")


def test_the_effect_of_one_edge_is_measured_when_it_is_asked_for(
    view: CircuitView, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    edge = view.edges[3]
    assert view.measured["key"] == ""
    sent(view, asked=str(edge))
    found = until_measured(view, str(N_EDGES), "circuit", "other")
    circuit = torch.zeros(model.n_edges, dtype=torch.bool)
    circuit[model.graph.flat_index([each for each in view.edges if each != edge])] = True
    assert found["edge"] == str(edge)
    assert found["other"] == pytest.approx(CircuitMeter(model, prompts).measure(circuit))


def test_an_edited_circuit_is_kept_and_can_be_evaluated(
    view: CircuitView, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    weakest, strongest = view.edges[-1], view.edges[0]
    # What is kept stands in the message: a change of traits may arrive behind it.
    switches = [f"-{strongest}"]
    content = {"type": "keep", "name": " without it ", "size": N_EDGES, "switches": switches}
    data = {"method": "custom", "content": content}
    view._handle_msg({"content": {"data": data}, "buffers": []})
    kept = view.circuits["without it"]
    assert (len(kept), kept[-1]) == (N_EDGES - 1, weakest)
    assert strongest not in kept
    assert view.kept == [{"name": "without it", "edges": N_EDGES - 1}]

    measured = sp.evaluate(
        model, prompts, kept, sizes=[1], complement=False, random=0, progress=False
    )
    assert N_EDGES - 1 in [size for size, _ in measured.curve("kl_div")]

    view.keep("by hand", [str(weakest)])
    assert view.circuits["by hand"] == [weakest]
    view.forget("without it")
    assert list(view.circuits) == ["by hand"]


def test_what_is_no_circuit_or_no_name_is_refused(view: CircuitView) -> None:
    with pytest.raises(ArgumentError, match="name"):
        view.keep(" ")
    with pytest.raises(ArgumentError, match="circuit"):
        view.keep("a", ["A9.9->B"])
    with pytest.raises(ArgumentError, match="name"):
        view.forget("a")
    with pytest.raises((ArgumentError, traitlets.TraitError)):
        view.switches = ["-A9.9"]
    with pytest.raises(ArgumentError, match="dataloader"):
        view.measure_on(None)  # type: ignore[arg-type]
    assert view.circuits == {}


def test_without_prompts_the_view_says_what_is_missing(model: PatchableModel) -> None:
    scores = model.graph.split(torch.arange(model.n_edges).float())
    view = CircuitView(model, prune_scores=scores)
    view.switches = ["-A0.0"]
    assert "dataloader" in view.measured["note"]
    view.close()


def test_two_circuits_are_compared_by_edges_or_by_scores(model: PatchableModel) -> None:
    scores = torch.arange(model.n_edges).float()
    other = [str(edge) for edge in model.graph.edges_at([0, 5, 7])]
    view = CircuitView(
        model, [model.graph.edges_at([3])[0]], prune_scores=model.graph.split(scores), compare=other
    )
    assert (view.compare, view.other_size) == ("Other circuit", 3)
    sent_scores = torch.frombuffer(bytearray(view.other), dtype=torch.float32)
    assert sent_scores.nonzero().flatten().tolist() == [0, 5, 7]
    assert view.comparable == ["Known circuit", "Other circuit"]

    view.keep("seed 2", model.graph.split(-scores))
    view.show_runs({"Run 1": model.graph.split(scores)})
    sent(view, compare="seed 2")
    assert torch.frombuffer(bytearray(view.other), dtype=torch.float32).equal(-scores)
    assert view.other_size is None
    sent(view, compare="Run 1")
    assert view.other == view.scores
    view.show_runs({})
    assert (view.compare, view.other) == ("", b"")
    with pytest.raises(ArgumentError, match="name"):
        view.keep("Known circuit")
    with pytest.raises(traitlets.TraitError, match="compare"):
        view.compare = "Run 1"
    view.close()


def test_groups_of_nodes_are_in_the_view_in_pictures_and_in_code(
    make_probe: Callable[..., SubnetworkProbingWidget], tmp_path: Path
) -> None:
    probe = make_probe()
    groups = [sp.NodeGroup("movers", ["A1.0", "A1.2"], "copy it"), sp.NodeGroup("rest", ["A0.1"])]
    sent(probe.circuit, groups=[group.data for group in groups])
    assert probe.circuit.node_groups == groups
    sent(probe.circuit, groups=[{"name": "x", "nodes": ["A9.9"], "note": ""}])
    assert probe.circuit.node_groups == groups
    assert (
        "groups = [\n    sp.NodeGroup('movers', ['A1.0', 'A1.2'], 'copy it'),\n" in probe.as_code()
    )

    probe.start()
    probe.wait(PATIENCE)
    probe.circuit.keep("mine", [str(edge) for edge in list(probe._model.edges)[:3]])
    picture = probe.snapshot(n_edges=9)
    words = [text.get_text() for axes in picture.figure().axes for text in axes.texts]
    # Above its nodes, and in the tables.
    assert words.count("movers") == 2
    assert "copy it" in words

    # The picture of what is in view has what is switched by hand, that of a size has not.
    strongest = probe.prune_scores.top(1)[0][0]
    probe.circuit.update(n_edges=9, switches=[f"-{strongest}"])
    assert dict(probe.snapshot().tables["Result"])["Edges in the picture"] == "8"
    assert b'"n_edges":9,"switches":["-' in probe.snapshot().web_page()
    assert dict(picture.tables["Result"])["Edges in the picture"] == "9"
    assert dict(probe.snapshot(n_edges=9).tables["Result"])["Edges in the picture"] == "9"

    probe.save(tmp_path / "kept")
    loaded = SubnetworkProbingWidget.load(tmp_path / "kept", probe._model, probe._dataloader)
    assert loaded.circuit.node_groups == groups
    kept = loaded.circuit.circuits
    assert {str(edge) for edge in kept["mine"]} == set(map(str, probe.circuit.circuits["mine"]))
    loaded.close()

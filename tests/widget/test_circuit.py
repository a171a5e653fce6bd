"""The circuit view as the kernel and the browser see it."""

from __future__ import annotations

import json
import struct
import threading
from pathlib import Path
from typing import Any

import comm
import pytest
import torch
from comm.base_comm import BaseComm
from torch import Tensor

from sp_widget.circuits.scores import top_edges
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.report.bundle import bundled
from sp_widget.report.circuit_data import graph_data
from sp_widget.widget.circuit import CircuitView
from tests.model_kinds import bridge
from tests.report.circuit_cases import graph_data_of

FIXTURE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures/circuit_view/cases.json").read_text()
)


class RecordingComm(BaseComm):
    """A comm whose other end is a list."""

    def __init__(self, **kwargs: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(**kwargs)

    def publish_msg(
        self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **_: Any
    ) -> None:
        if msg_type == "comm_msg":
            self.sent.append({**data, "buffers": buffers or []})


@pytest.fixture(scope="module")
def token_wise() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"), seq_len=3)


@pytest.fixture
def view(model: PatchableModel, monkeypatch: pytest.MonkeyPatch) -> CircuitView:
    monkeypatch.setattr(comm, "create_comm", RecordingComm)
    return CircuitView(model)


def scores_of(model: PatchableModel, flat: Tensor | None = None) -> dict[str, Tensor]:
    """Scores 0, 1, 2, … in flat order."""
    return model.graph.split(torch.arange(model.n_edges).float() if flat is None else flat)


def floats(data: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(data) // 4}f", data))


# The structure.


@pytest.mark.parametrize("case", FIXTURE["paths"], ids=lambda case: case["name"])
def test_the_graphs_that_the_browser_code_is_tested_with_are_ours(case: dict[str, Any]) -> None:
    assert case["graph"] == graph_data_of(case)


def test_the_browser_orders_edges_as_top_edges_does() -> None:
    ranking = FIXTURE["ranking"]
    scores = {"all": torch.tensor(ranking["scores"])}
    for n_edges in range(len(ranking["order"]) + 1):
        circuit = top_edges(scores, n_edges)["all"]
        assert set(circuit.nonzero().flatten().tolist()) == set(ranking["order"][:n_edges])


def test_modules_lay_out_the_edges_in_flat_order(token_wise: PatchableModel) -> None:
    """The browser finds source, destination and position of an edge from its place alone."""
    data = graph_data(token_wise)
    graph, labels = token_wise.graph, data["positions"]
    assert labels == ["0", "1", "2"]
    place = 0
    found = []
    for module in data["modules"]:
        for position in range(len(labels)):
            for row in range(module["first"], module["first"] + module["rows"]):
                for source in range(*module["sources"]):
                    dest = data["destinations"][row]["name"]
                    src = data["boxes"][data["sources"][source]]["name"]
                    found.append((f"{position}:{src}->{dest}", place))
                    place += 1
    edges = list(graph.edges)
    wanted = zip(map(str, edges), graph.flat_index(edges).tolist(), strict=True)
    assert dict(found) == dict(wanted)


def test_labels_and_known_edges_come_along(token_wise: PatchableModel) -> None:
    edges = [Edge(token_wise.srcs[0], token_wise.dests[-1], seq_idx=i) for i in (2, 0)]
    data = CircuitView(token_wise, edges, seq_labels=["a", "b", "c"]).graph
    assert data["positions"] == ["a", "b", "c"]
    assert data["official"] == sorted(token_wise.graph.flat_index(edges).tolist())
    # Only the logits at the last position count.
    assert data["outputs"] == [2, 3]


def test_the_structure_is_plain_json(token_wise: PatchableModel) -> None:
    data = graph_data(token_wise, [], ["a", "b", "c"])
    assert json.loads(json.dumps(data)) == data


# The scores.


def test_scores_arrive_as_floats_in_flat_order_in_one_message(view: CircuitView) -> None:
    n_edges = view._model.n_edges
    view.show_scores(scores_of(view._model), n_edges=7)
    assert view.messages_per_update == len(view.comm.sent) == 1
    message = view.comm.sent[0]
    assert message["state"] == {"training_edges": 7}
    assert message["buffer_paths"] == [["scores"]]
    assert floats(message["buffers"][0]) == list(range(n_edges))


def test_frequencies_go_beside_the_scores(view: CircuitView) -> None:
    model, n_edges = view._model, view._model.n_edges
    shares = torch.linspace(0, 1, n_edges)
    view.show_scores(scores_of(model))
    view.show_frequencies(scores_of(model, shares))
    assert view.comm.sent[-1]["buffer_paths"] == [["frequencies"]]
    assert floats(view.frequencies) == shares.tolist()
    assert floats(view.scores) == list(range(n_edges))
    view.show_frequencies(None)
    assert view.frequencies == b""
    assert CircuitView(model, frequencies=scores_of(model, shares)).frequencies != b""


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_frequencies_that_are_no_shares_are_refused(view: CircuitView, value: float) -> None:
    flat = torch.full((view._model.n_edges,), value)
    with pytest.raises(ArgumentError, match=r"^frequencies: "):
        view.show_frequencies(scores_of(view._model, flat))


def test_modules_in_another_order_are_put_in_ours(view: CircuitView) -> None:
    backwards = dict(reversed(scores_of(view._model).items()))
    view.show_scores(backwards)
    assert floats(view.scores) == list(range(view._model.n_edges))


def test_scores_to_begin_with(model: PatchableModel) -> None:
    view = CircuitView(model, prune_scores=scores_of(model), n_edges=5)
    assert len(floats(view.scores)) == model.n_edges
    assert view.n_edges == 5
    assert view.training_edges is None
    assert repr(view) == f"CircuitView({model.n_edges:,} edges, scores shown)"


def test_auroc_is_that_of_the_scores_shown(model: PatchableModel) -> None:
    known = [Edge(model.srcs[0], model.dests[0])]
    place = model.graph.flat_index(known)
    view = CircuitView(model, known)
    assert view.auroc is None
    best, worst = torch.zeros(model.n_edges), torch.ones(model.n_edges)
    best[place], worst[place] = 1, 0
    view.show_scores(scores_of(model, best))
    assert view.auroc == 1.0
    view.show_scores(scores_of(model, worst))
    assert view.auroc == 0.0


def test_there_is_no_auroc_without_edges_on_both_sides(model: PatchableModel) -> None:
    assert CircuitView(model, prune_scores=scores_of(model)).auroc is None
    assert CircuitView(model, [], prune_scores=scores_of(model)).auroc is None
    assert CircuitView(model, model.edges, prune_scores=scores_of(model)).auroc is None


def test_clear_shows_the_model_without_scores(view: CircuitView) -> None:
    view.show_scores(scores_of(view._model), n_edges=3)
    view.clear()
    assert view.scores == b""
    assert view.training_edges is None
    assert repr(view).endswith("no scores yet)")
    assert len(view.comm.sent) == 2


# What a person chooses.


def test_what_a_person_chooses_outlives_new_scores(view: CircuitView) -> None:
    chosen = {"n_edges": 12, "only_paths": True, "search": "A1", "pinned": "A1.0"}
    view.set_state(chosen)
    view.show_scores(scores_of(view._model), n_edges=3)
    assert {name: getattr(view, name) for name in chosen} == chosen


def test_a_choice_waits_while_scores_are_written(view: CircuitView) -> None:
    """ipywidgets keeps its sync state on the instance: inside each other, both lose messages."""
    thread = threading.Thread(target=lambda: view.set_state({"n_edges": 12}))
    waited = []

    def choose(_: object) -> None:
        thread.start()
        # If nothing held it up, it would be done in a few milliseconds.
        thread.join(0.3)
        waited.append(thread.is_alive())

    view.observe(choose, "training_edges")
    view.show_scores(scores_of(view._model), n_edges=3)
    thread.join()
    assert waited == [True]
    assert view.n_edges == 12
    assert view.comm.sent[0]["state"] == {"training_edges": 3}


# What is refused.


def test_scores_of_another_model_are_refused(
    model: PatchableModel, token_wise: PatchableModel
) -> None:
    view = CircuitView(model)
    with pytest.raises(ArgumentError, match=r"prune_scores.*'blocks\.0\.hook_q_input'"):
        view.show_scores(scores_of(token_wise))
    with pytest.raises(ArgumentError, match=r"prune_scores.*'blocks\.0\.hook_q_input'.*None"):
        view.show_scores({})
    with pytest.raises(ArgumentError, match="prune_scores"):
        view.show_scores(None)  # type: ignore[arg-type]
    assert view.scores == b""


def test_scores_that_are_no_numbers_are_refused(model: PatchableModel) -> None:
    scores = scores_of(model, torch.full((model.n_edges,), torch.nan))
    with pytest.raises(ArgumentError, match="prune_scores: wanted numbers, got 'nan'"):
        CircuitView(model, prune_scores=scores)


def test_an_infinite_score_is_drawn_beyond_all_others(model: PatchableModel) -> None:
    """ACDC's, of an edge that no threshold removed."""
    values = torch.full((model.n_edges,), 0.25)
    values[3] = torch.inf
    sent = CircuitView(model, prune_scores=scores_of(model, values)).scores
    drawn = torch.frombuffer(bytearray(sent), dtype=torch.float32)
    assert drawn[3] == 0.5
    assert (drawn.sort().values[:-1] == 0.25).all()


@pytest.mark.parametrize("n_edges", [-1, 10**9, 1.5, True])
def test_an_impossible_number_of_edges_is_refused(model: PatchableModel, n_edges: Any) -> None:
    with pytest.raises(ArgumentError, match="n_edges"):
        CircuitView(model, n_edges=n_edges)
    with pytest.raises(ArgumentError, match="n_edges"):
        CircuitView(model).show_scores(scores_of(model), n_edges=n_edges)


def test_bad_arguments_are_refused_by_name(
    model: PatchableModel, token_wise: PatchableModel
) -> None:
    with pytest.raises(ArgumentError, match="model: wanted"):
        CircuitView(model.wrapped_model)
    with pytest.raises(ArgumentError, match=r"official_edges: wanted edges of this model, got 0:"):
        CircuitView(model, [Edge(token_wise.srcs[0], token_wise.dests[0], 0)])
    with pytest.raises(ArgumentError, match="official_edges: wanted names of edges of this model"):
        CircuitView(model, ["Resid Start->A7.0"])
    with pytest.raises(ArgumentError, match="seq_labels: wanted one label for each of 3"):
        CircuitView(token_wise, seq_labels=["a"])
    with pytest.raises(ArgumentError, match="seq_labels: wanted None"):
        CircuitView(model, seq_labels=["a"])


def test_the_bundle_is_small_enough_for_every_notebook_that_shows_it() -> None:
    assert len(bundled("circuit.js")) < 120_000
    assert len(bundled("circuit.css")) < 120_000

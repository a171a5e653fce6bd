"""The widget on a graph of nodes: all of it works, residual streams are drawn as nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.model_kinds import bridge, dataloader
from tests.session.watching import PATIENCE
from tests.widget.browser_messages import click
from tests.widget.conftest import CONFIG


@pytest.fixture
def node_probe() -> Iterator[SubnetworkProbingWidget]:
    model = patchable_model(bridge("gpt2"), factorized=False)
    probe = SubnetworkProbingWidget(model, dataloader(), config=CONFIG)
    yield probe
    probe.close()


def test_it_trains_and_shows_the_streams(node_probe: SubnetworkProbingWidget) -> None:
    click(node_probe, "start")
    node_probe.wait(PATIENCE)
    assert node_probe.prune_scores is not None
    assert set(node_probe.prune_scores) == {
        f"blocks.{index}.hook_resid_{place}" for index in (0, 1) for place in ("mid", "post")
    }
    kinds = {box["name"]: box["kind"] for box in node_probe.circuit.graph["boxes"]}
    assert (kinds["Resid Mid 1"], kinds["Resid Post 0"], kinds["Resid End"]) == (
        "mid",
        "post",
        "end",
    )
    node_probe.circuit.show_scores(node_probe.prune_scores)
    node_probe.circuit.n_edges = node_probe._model.n_edges
    node_probe.circuit.switches = ["-Resid Mid 0"]
    assert {edge.dest.name for edge in node_probe.circuit.edges} == {
        "Resid Post 0",
        "Resid Mid 1",
        "Resid End",
    }


def test_a_snapshot_draws_them(node_probe: SubnetworkProbingWidget) -> None:
    node_probe.start()
    node_probe.wait(PATIENCE)
    picture = node_probe.snapshot(n_edges=5)
    words = {text.get_text() for axes in picture.figure().axes for text in axes.texts}
    assert {"Resid Mid 0", "Resid Post 0", "A1.0", "Strongest edges"} <= words
    assert picture.tables["Strongest edges"][0][0] in picture.html.replace("&gt;", ">")

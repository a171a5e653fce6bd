"""The widget on a graph of nodes: all of it works, and words stand in place of the picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.report.circuit_data import NOT_DRAWN
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


def test_it_trains_and_says_why_there_is_no_picture(node_probe: SubnetworkProbingWidget) -> None:
    click(node_probe, "start")
    node_probe.wait(PATIENCE)
    assert node_probe.prune_scores is not None
    assert set(node_probe.prune_scores) == {
        f"blocks.{index}.hook_resid_{place}" for index in (0, 1) for place in ("mid", "post")
    }
    assert node_probe.circuit.graph == {}
    assert node_probe.circuit.no_picture == NOT_DRAWN


def test_a_snapshot_has_the_sentence_and_the_tables(node_probe: SubnetworkProbingWidget) -> None:
    node_probe.start()
    node_probe.wait(PATIENCE)
    picture = node_probe.snapshot(n_edges=5)
    words = {text.get_text() for axes in picture.figure().axes for text in axes.texts}
    assert NOT_DRAWN in words
    assert "Strongest edges" in words
    assert picture.tables["Strongest edges"][0][0] in picture.html.replace("&gt;", ">")

"""The panel on a model of residual-stream nodes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Photograph
from tests.browser.panel import TRAINING
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser


def test_nodes_are_trained_and_residual_streams_are_drawn(
    workbench: Workbench, photograph: Photograph
) -> None:
    notebook = workbench.notebook
    cell = notebook.append_and_begin(
        "nodes = sp.patchable_model(task.model.wrapped_model, factorized=False)\n"
        "config = replace(task.config, epochs=2)\n"
        "probe = sp.SubnetworkProbingWidget(nodes, task.train_loader, config=config)\n"
        "probe"
    )
    notebook.finish(cell)
    panel = workbench.panel_in(cell)
    circuit = notebook.outputs(cell).get_by_role("region", name="Circuit")
    expect(circuit.get_by_role("button", name=re.compile("^Resid Mid 1, "))).to_be_visible()
    panel.press("Start")
    panel.expect_state("done", timeout=TRAINING)
    assert "Resid Post 0->Resid Mid 1" in notebook.evaluate("print(prune_scores.top(28))")
    for scheme in ("light", "dark"):
        notebook.use_theme(scheme)
        circuit.scroll_into_view_if_needed()
        photograph(workbench.page, f"nodes-{scheme}")

"""The settings: wrong values are explained, right ones are taken, live ones at once."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Photograph
from tests.browser.console import Console
from tests.browser.notebook import NotebookPage
from tests.browser.panel import Panel
from tests.browser.server import JupyterServer
from tests.browser.workbench import N_BATCHES, Workbench

pytestmark = pytest.mark.browser


def test_a_wrong_value_is_explained_beside_its_field_and_nothing_starts(
    workbench: Workbench,
) -> None:
    panel = workbench.new_panel(epochs=200)
    panel.unfold("More settings")
    wrong = {
        "Learning rate": ("abc", "number"),
        "Epochs": ("2.5", "whole number"),
        "Dropout": ("1", "below 1"),
        "Circuit size": ("0", "at least 1"),
    }
    for label, (text, _) in wrong.items():
        panel.enter(label, text)
    for label, (text, reason) in wrong.items():
        expect(panel.problem(label)).to_contain_text(reason)
        expect(panel.problem(label)).to_be_visible()
        expect(panel.field(label)).to_have_attribute("aria-invalid", "true")
        # What was typed stays there to be mended.
        expect(panel.field(label)).to_have_value(text)

    panel.press("Start")
    expect(panel.status).to_contain_text("cannot start")
    panel.expect_state("idle")
    assert workbench.notebook.evaluate("print(probe.state, probe.history)") == "idle []"

    right = {"Learning rate": "0.05", "Epochs": "100", "Dropout": "0.1", "Circuit size": ""}
    for label, text in right.items():
        panel.enter(label, text)
    for label in right:
        expect(panel.problem(label)).to_have_text("")
        expect(panel.field(label)).not_to_have_attribute("aria-invalid", "true")
    expect(panel.status).to_contain_text(f"of {100 * N_BATCHES}")
    panel.press("Start")
    panel.expect_state("running")
    config = "print(probe.config.learning_rate, probe.config.epochs, probe.config.dropout_p)"
    assert workbench.notebook.evaluate(config) == "0.05 100 0.1"


def test_lambda_can_be_written_as_a_power_of_ten_and_changed_while_running(
    workbench: Workbench,
) -> None:
    panel = workbench.new_panel(epochs=200)
    panel.enter("Lambda", "1e-3")
    expect(panel.field("Lambda")).to_have_value("0.001")
    expect(panel.problem("Lambda")).to_have_text("")
    panel.press("Start")
    panel.expect_state("running")
    panel.expect_steps_beyond(2)

    expect(panel.field("Epochs")).to_be_disabled()
    expect(panel.field("Mask function")).to_be_disabled()
    expect(panel.field("Tree optimisation")).to_be_disabled()
    panel.enter("Lambda", "2.5e1")
    expect(panel.field("Lambda")).to_have_value("25")
    panel.enter("Learning rate", "2e-2")
    expect(panel.field("Learning rate")).to_have_value("0.02")
    panel.expect_steps_beyond(panel.step + 2)
    panel.press("Pause")
    panel.expect_state("paused")

    read = "import json; print(json.dumps([[r.regularize_lambda, r.learning_rate] for r in {}]))"
    history = json.loads(workbench.notebook.evaluate(read.format("probe.history")))
    lambdas, rates = zip(*history, strict=True)
    assert lambdas[0] == 0.001
    assert lambdas[-1] == 25
    assert sorted(lambdas) == list(lambdas), "one change, and none back"
    assert set(lambdas) == {0.001, 25.0}
    assert set(rates) == {0.1, 0.02}


def test_a_wrong_value_while_running_changes_nothing_and_is_explained(
    workbench: Workbench,
) -> None:
    panel = workbench.new_panel(epochs=200)
    panel.press("Start")
    panel.expect_state("running")
    panel.enter("Lambda", "-1")
    expect(panel.problem("Lambda")).to_contain_text("at least 0")
    panel.expect_steps_beyond(panel.step + 2)
    lambdas = workbench.notebook.evaluate("print({r.regularize_lambda for r in probe.history})")
    assert lambdas == "{1.0}"
    panel.enter("Lambda", "1")
    expect(panel.problem("Lambda")).to_have_text("")


def test_a_setting_leads_to_its_section_of_the_documentation(
    page: Page,
    server: JupyterServer,
    console: Console,
    photograph: Photograph,
) -> None:
    code = (
        "from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig\n"
        "from sp_widget.widget.form import fields_for, values_for\n"
        "from sp_widget.widget.panel import ControlPanel\n"
        "panel = ControlPanel()\n"
        "config = SubnetworkProbingConfig()\n"
        "panel.update(fields=fields_for(config), values=values_for(config))\n"
        "panel"
    )
    path = server.new_notebook("docs.ipynb", code)
    notebook = NotebookPage(page, server, path, "lab")
    notebook.open()
    notebook.run(0)
    panel = Panel(notebook.outputs(0))
    link = panel.region.get_by_role("link", name="Lambda in the documentation", exact=True)
    link.focus()
    expect(panel.region.locator(".sp-help", has_text="Lambda: Weight")).to_be_visible()
    # Without a network, and without the server that the notebook came from: what Jupyter asks of it
    # from time to time fails.
    console.expect("Failed to load resource: net::ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    documentation = opened.value
    section = documentation.get_by_role("heading", name="Masks and loss", exact=True)
    expect(section).to_be_in_viewport()
    assert section.evaluate("heading => heading.matches(':target')")
    expect(documentation.get_by_text("loss = faithfulness + regularize_lambda")).to_be_visible()
    photograph(documentation, "documentation")
    page.context.set_offline(False)

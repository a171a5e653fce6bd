"""A saved notebook that is opened again, with no kernel that knows its widget."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WINDOW, Photograph
from tests.browser.console import Console
from tests.browser.notebook import FrontEnd, NotebookPage
from tests.browser.panel import SOON, Panel
from tests.browser.server import JupyterServer

pytestmark = pytest.mark.browser

RUN = """
from dataclasses import replace
import sp_widget as sp
task = sp.tasks.load("tiny-ioi")
probe = sp.SubnetworkProbingWidget(
    task.model, task.train_loader, config=replace(task.config, epochs=4)
)
probe
"""
N_STEPS = 32
LOST = "widget model not found"
"""What JupyterLab itself writes on the console about every widget that it does not find."""


@pytest.fixture(scope="module")
def saved(browser: Browser, server: JupyterServer) -> str:
    """A notebook whose run ended, saved as JupyterLab saves by itself."""
    page = browser.new_context(viewport=WINDOW).new_page()
    path = run_and_save(page, server, "saved.ipynb")
    page.context.close()
    return path


@pytest.fixture
def saves_state(page: Page, server: JupyterServer) -> Iterator[NotebookPage]:
    """A notebook in a JupyterLab that saves the state of widgets, as a person asks it to."""
    notebook = NotebookPage(page, server, server.new_notebook("state.ipynb", RUN.strip()), "lab")
    notebook.open()
    toggle_saving(page)
    yield notebook
    toggle_saving(page)


def toggle_saving(page: Page) -> None:
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    # Its role is another one once it is on.
    page.locator(".lm-Menu-item", has_text="Save Widget State Automatically").click()


def run_and_save(page: Page, server: JupyterServer, name: str) -> str:
    notebook = NotebookPage(page, server, server.new_notebook(name, RUN.strip()), "lab")
    notebook.open()
    run_to_the_end(notebook)
    end_kernel(notebook)
    return name


def run_to_the_end(notebook: NotebookPage) -> None:
    """Run and save."""
    notebook.run(0)
    notebook.evaluate("probe.start()\nprobe.wait()")
    # Hidden below the widget, and only for readers who have none.
    expect(notebook.outputs(0).locator(".sp-kept img")).to_have_count(1)
    expect(notebook.outputs(0).locator(".sp-kept img")).to_be_hidden()
    notebook.save()


def restart_kernel(page: Page) -> None:
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.locator(".lm-Menu-item", has_text=re.compile("^Restart Kernel")).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Confirm Kernel Restart").click()


def end_kernel(notebook: NotebookPage) -> None:
    notebook.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    notebook.page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    expect(notebook.page.locator(".jp-KernelName")).to_have_text("No Kernel")


def take_notes_of_lost_widgets(console: Console) -> None:
    """Those are the front end's own; anything else would be ours."""
    assert [each for each in console.take() if LOST not in each] == []


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_the_picture_of_the_run_stands_where_the_widget_was(
    page: Page,
    server: JupyterServer,
    saved: str,
    front_end: FrontEnd,
    console: Console,
    photograph: Photograph,
) -> None:
    notebook = NotebookPage(page, server, saved, front_end)
    notebook.open()
    output = notebook.outputs(0)
    expect(output.get_by_role("img")).to_be_visible(timeout=SOON)
    expect(output.get_by_role("img")).to_have_attribute(
        "alt", re.compile(r"^Subnetwork probing\. Chart of the training, and circuit of \d+ of 479")
    )
    expect(output.get_by_role("cell", name=str(N_STEPS), exact=True)).to_be_visible()
    expect(output.get_by_text("Error displaying widget")).to_be_hidden()
    photograph(page, f"offline-picture-{front_end}")
    take_notes_of_lost_widgets(console)


def test_a_notebook_from_somebody_else_shows_the_picture_as_well(
    page: Page, server: JupyterServer, saved: str, console: Console
) -> None:
    """JupyterLab does not trust it, and takes styles and scripts out of its outputs."""
    theirs = nbformat.read(server.root / saved, as_version=4)
    theirs.metadata["author"] = "somebody else"
    nbformat.write(theirs, server.root / "theirs.ipynb")
    notebook = NotebookPage(page, server, "theirs.ipynb", "lab")
    notebook.open()
    expect(notebook.outputs(0).get_by_role("img")).to_be_visible(timeout=SOON)
    expect(notebook.outputs(0).get_by_role("cell", name=str(N_STEPS), exact=True)).to_be_visible()
    take_notes_of_lost_widgets(console)


def test_without_its_kernel_a_widget_is_there_and_read_only(
    saves_state: NotebookPage, console: Console, photograph: Photograph
) -> None:
    """After a restart, and in a notebook that was saved with the state of its widgets."""
    run_to_the_end(saves_state)
    panel = Panel(saves_state.outputs(0))
    panel.expect_buttons("Reset")
    restart_kernel(panel.page)
    expect(panel.region).to_contain_text("No kernel is behind this widget")
    panel.expect_buttons()
    # JupyterLab tells of the connection that was lost.
    assert [each for each in console.take() if "Connection lost" not in each] == []

    saves_state.open()
    panel.expect_state("done")
    expect(panel.region).to_contain_text("No kernel is behind this widget")
    panel.expect_buttons()
    expect(panel.field("Learning rate")).to_be_disabled()
    # The tabs can be read all the same.
    panel.open_tab("Export")
    expect(panel.output.get_by_role("button", name="Download")).to_be_disabled()
    assert panel.step == N_STEPS
    assert any(panel.lines()), "the chart is drawn"
    # The circuit is all in the browser: it can still be explored.
    circuit = panel.output.get_by_role("region", name="Circuit", exact=True)
    circuit.get_by_label("Number of edges").fill("9")
    expect(circuit.get_by_text("9 edges as text")).to_be_visible()
    expect(panel.output.locator(".sp-kept img")).to_be_hidden()
    panel.region.scroll_into_view_if_needed()
    photograph(panel.page, "offline-saved-state")

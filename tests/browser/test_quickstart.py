"""The first tutorial from the first cell to the scores, as a person goes through it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WINDOW, Photograph
from tests.browser.notebook import FrontEnd, NotebookPage
from tests.browser.panel import TAKES_EFFECT, TRAINING, Panel
from tests.browser.server import JupyterServer
from tests.browser.workbench import N_EDGES

pytestmark = pytest.mark.browser

CELLS_BEFORE_THE_PANEL = (2, 4, 6)
PANEL_CELL = 8


@pytest.fixture(params=["lab", "notebook"])
def tutorial(request: pytest.FixtureRequest, page: Page, server: JupyterServer) -> NotebookPage:
    """The quickstart with every cell run up to the panel."""
    front_end: FrontEnd = request.param
    path = server.copy_tutorial(
        "01_quickstart.ipynb", to=f"quickstart_{front_end}.ipynb", as_demo=front_end == "lab"
    )
    notebook = NotebookPage(page, server, path, front_end)
    notebook.open()
    for cell in (*CELLS_BEFORE_THE_PANEL, PANEL_CELL):
        notebook.run(cell)
    return notebook


def test_train_watch_pause_resume_and_use_the_scores(
    tutorial: NotebookPage, photograph: Photograph
) -> None:
    page, name = tutorial.page, tutorial.front_end
    panel = Panel(tutorial.outputs(PANEL_CELL))
    panel.expect_state("idle")
    panel.expect_buttons("Start", "Step")
    panel.region.scroll_into_view_if_needed()
    photograph(page, f"quickstart-{name}-1-idle")

    # It ends by itself in one of them. In the other it outlasts the reload, however slow that is.
    panel.enter("Epochs", "12" if name == "notebook" else "10000")
    panel.record_states()
    panel.press("Start")
    panel.expect_state("running")
    assert panel.recorded_states() == [
        ("idle", "Progress of the training"),
        ("preparing", "Progress of the preparation"),
        ("running", "Progress of the training"),
    ]
    panel.expect_buttons("Pause", "Stop")
    cockpit = panel.output.locator(".sp-cockpit")
    page.set_viewport_size({"width": 1280, "height": 1000})
    box = cockpit.bounding_box()
    assert box
    assert box["height"] <= 760, "all of it is seen while training"
    page.set_viewport_size(WINDOW)
    for _ in range(3):
        lines, step = panel.lines(), panel.step
        panel.expect_chart_to_change(lines)
        panel.expect_steps_beyond(step)
    assert len(panel.lines()) == 5, "loss, faithfulness, regularizer, validation, edges"
    assert all("NaN" not in line for line in panel.lines())
    if name == "lab":
        # The outputs that came with the tutorial would make an untrusted notebook of it.
        step = panel.step
        tutorial.save()
        tutorial.open()
        expect(panel.region).to_be_visible(timeout=60_000)
        panel.expect_steps_beyond(step)
        panel.expect_chart_to_change(panel.lines())
    panel.expect_steps_beyond(40)
    panel.chart.scroll_into_view_if_needed()
    photograph(page, f"quickstart-{name}-2-running")

    sleeping = tutorial.append_and_begin("import time\ntime.sleep(6)\nprint('slept')")
    expect(tutorial.prompt(sleeping)).to_have_text("[*]:")
    seconds = panel.seconds_to_take_effect("Pause", "paused")
    assert tutorial.is_running(sleeping), "the cell ended before the pause was seen"
    assert seconds < TAKES_EFFECT
    panel.expect_buttons("Resume", "Step", "Stop", "Reset")
    paused_at = panel.step
    assert tutorial.finish(sleeping) == "slept"
    assert panel.step == paused_at
    assert tutorial.evaluate("print(probe.state, len(probe.history))") == f"paused {paused_at}"
    panel.region.scroll_into_view_if_needed()
    photograph(page, f"quickstart-{name}-3-paused")
    tutorial.use_theme("dark")
    photograph(page, f"quickstart-{name}-4-paused-dark")
    tutorial.use_theme("light")
    expect(panel.figure).to_be_visible()

    panel.press("Resume")
    panel.expect_state("running")
    if name == "notebook":
        panel.expect_state("done", timeout=TRAINING)
        expect(panel.progress).to_have_attribute("aria-valuenow", "100")
        assert panel.step == panel.n_steps
    else:
        panel.press("Stop")
        panel.expect_state("stopped")
    panel.expect_buttons("Reset")
    photograph(page, f"quickstart-{name}-5-ended")
    # A picture for readers without a kernel follows the widget now. Notebook 7 makes a scrolling
    # box of an output that is long enough, which narrow ones are.
    page.set_viewport_size({"width": 640, "height": 1100})
    expect(tutorial.outputs(PANEL_CELL).locator(".sp-kept")).to_have_count(1)
    assert panel.output.evaluate("(output) => output.scrollHeight - output.clientHeight") <= 1
    page.set_viewport_size(WINDOW)

    n_scores = "print(sum(scores.numel() for scores in prune_scores.values()))"
    assert tutorial.evaluate(n_scores) == str(N_EDGES)
    n_kept = "print(probe.history[-1].hard_edge_count)"
    assert tutorial.evaluate(n_kept) == str(panel.edges)
    photograph(page, f"quickstart-{name}-6-scores")

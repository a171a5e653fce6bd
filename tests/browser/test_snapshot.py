"""Files that the browser saves, and what a reader sees of a snapshot."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Photograph
from tests.browser.panel import SOON, Panel
from tests.browser.server import JupyterServer
from tests.browser.workbench import N_BATCHES, N_EDGES, Workbench

pytestmark = pytest.mark.browser


def download(panel: Panel, label: str, folder: Path) -> Path:
    """Choose a file in the export group and press its button; returns where it was saved."""
    export = panel.output.get_by_role("group", name="Export", exact=True)
    export.get_by_label("Export", exact=True).select_option(label)
    with panel.page.expect_download(timeout=60_000) as saved:
        export.get_by_role("button", name="Download").click()
    path = folder / saved.value.suggested_filename
    saved.value.save_as(path)
    expect(export.get_by_role("status")).to_have_text(f"{path.name} was handed to the browser.")
    return path


def test_files_come_as_downloads_of_the_view_that_asked(
    workbench: Workbench, tmp_path: Path
) -> None:
    panel = workbench.new_panel(epochs=2)
    panel.open_tab("Export")
    export = panel.output.get_by_role("group", name="Export", exact=True)
    export.get_by_role("button", name="Download").click()
    expect(export.get_by_role("status")).to_have_text("There is nothing to export yet.")

    panel.press("Start")
    panel.expect_state("done")
    # With a second view, one click is still one download.
    second = workbench.panel_in(workbench.notebook.append_and_begin("probe"))
    downloads: list[object] = []
    panel.page.on("download", lambda each: downloads.append(each))
    history = download(second, "History (CSV)", tmp_path).read_text()
    rows = list(csv.DictReader(io.StringIO(history)))
    assert [row["step"] for row in rows] == [str(step + 1) for step in range(2 * N_BATCHES)]
    scores = json.loads(download(second, "Scores (JSON)", tmp_path).read_text())["scores"]
    assert sum(count(score) for score in scores.values()) == N_EDGES
    picture = download(second, "All on one page (PNG)", tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(downloads) == 3

    panel.region.get_by_label("Save into folder").fill("kept/first")
    panel.press("Save")
    expect(panel.status).to_contain_text("Saved in the folder kept/first.")
    load = "sp.SubnetworkProbingWidget.load('kept/first', task.model, task.train_loader)"
    told = workbench.notebook.evaluate(f"again = {load}\nprint(again.state)\nagain.close()")
    assert told == "done"


def count(numbers: object) -> int:
    return sum(map(count, numbers)) if isinstance(numbers, list) else 1


def test_files_come_while_a_cell_runs(
    workbench: Workbench, server: JupyterServer, tmp_path: Path
) -> None:
    panel = workbench.new_panel(epochs=1)
    panel.press("Start")
    panel.expect_state("done")
    panel.open_tab("Export")
    cell = workbench.notebook.append_and_begin(
        "import pathlib, time\nwhile not pathlib.Path('downloaded').exists():\n    time.sleep(0.1)"
    )
    download(panel, "History (CSV)", tmp_path)
    assert workbench.notebook.is_running(cell)
    (server.root / "downloaded").touch()
    workbench.page.keyboard.press("Escape")
    workbench.notebook.finish(cell)


def test_a_snapshot_in_a_cell_is_a_picture_with_words(
    workbench: Workbench, photograph: Photograph
) -> None:
    panel = workbench.new_panel(epochs=2)
    panel.press("Start")
    panel.expect_state("done")
    cell = workbench.notebook.append_and_begin("probe.snapshot()")
    picture = workbench.notebook.outputs(cell).get_by_role("img")
    expect(picture).to_be_visible(timeout=SOON)
    assert "Chart of the training" in (picture.get_attribute("alt") or "")
    workbench.notebook.use_theme("dark")
    picture.scroll_into_view_if_needed()
    photograph(workbench.page, "snapshot-dark")

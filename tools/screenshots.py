"""Takes the pictures of the panel for the README: `python tools/screenshots.py` renews docs/images.

A real training in a real JupyterLab, driven like the browser tests; needs what `make test` sets up.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import CHROMIUM_OPTIONS  # noqa: E402
from tests.browser.panel import Panel  # noqa: E402
from tests.browser.server import JupyterServer  # noqa: E402
from tests.browser.workbench import Workbench  # noqa: E402
from tests.chromium import require_chromium  # noqa: E402

IMAGES = ROOT / "docs" / "images"

WIDTH = 1430
"""Of the window: it leaves about 1,000 pixels to the widget."""


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        JupyterServer(Path(folder) / "server") as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=require_chromium(), args=CHROMIUM_OPTIONS
        )
        page = browser.new_context(viewport={"width": WIDTH, "height": 2100}).new_page()
        workbench = Workbench(page, server)
        take_running(workbench)
        browser.close()


def take_running(workbench: Workbench) -> None:
    panel = workbench.new_panel(loader="task.train_loader, task.test_loader")
    panel.press("Start")
    panel.expect_steps_beyond(150, timeout=120_000)
    take(panel, "panel")
    workbench.notebook.use_theme("dark")
    take(panel, "panel-dark")
    workbench.notebook.use_theme("light")


def take(panel: Panel, name: str) -> None:
    widget = panel.output.locator(".widget-vbox").first
    widget.scroll_into_view_if_needed()
    release_pointer(panel.page)
    box = widget.bounding_box()
    assert box is not None
    # The last row of pixels may belong to the notebook below.
    clip = {"x": math.floor(box["x"]), "y": math.floor(box["y"])}
    clip |= {"width": math.ceil(box["width"]), "height": math.floor(box["height"]) - 1}
    path = IMAGES / f"{name}.png"
    panel.page.screenshot(path=path, clip=clip)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def release_pointer(page: Page) -> None:
    """A pointer that hovers would change the look of what it is over."""
    page.mouse.move(5, 5)


if __name__ == "__main__":
    main()

"""The widget in a plain page with the HTML manager of ipywidgets: no Jupyter, no server, no net."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from ipywidgets.embed import embed_minimal_html
from playwright.sync_api import Page, Route, expect

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.browser.conftest import Photograph
from tests.browser.console import Console
from tests.model_kinds import bridge, dataloader

pytestmark = pytest.mark.browser

NODE_MODULES = Path(__file__).resolve().parents[2] / "js" / "node_modules"
EXTENSIONS = Path(sys.prefix) / "share" / "jupyter" / "nbextensions"
SCRIPTS = {
    "/require.min.js": NODE_MODULES / "requirejs" / "require.js",
    "/embed-amd.js": NODE_MODULES / "@jupyter-widgets" / "html-manager" / "dist" / "embed-amd.js",
    "/anywidget.js": EXTENSIONS / "anywidget" / "index.js",
    "/bqplot.js": EXTENSIONS / "bqplot" / "index.js",
    "/bqscales.js": EXTENSIONS / "bqscales" / "index.js",
}
"""What the page asks other servers for, by the end of its address."""

URL = "https://page.test/"


def test_panel_chart_and_circuit_are_there_without_jupyter(
    page: Page, console: Console, tmp_path: Path, photograph: Photograph
) -> None:
    model = patchable_model(bridge("native-attention-only"))
    config = SubnetworkProbingConfig(epochs=4, seed=1)
    probe = SubnetworkProbingWidget(model, dataloader(), dataloader(), config=config)
    probe.start()
    probe.wait(60)
    embed_minimal_html(tmp_path / "page.html", views=[probe], title="Embedded")
    probe.close()
    # It is another require.js than the one that it was signed for.
    html = re.sub(r' integrity="[^"]*"', "", (tmp_path / "page.html").read_text())

    def answer(route: Route) -> None:
        address = route.request.url
        script = next((path for end, path in SCRIPTS.items() if address.endswith(end)), None)
        if address == URL:
            route.fulfill(body=html, content_type="text/html")
        elif script is not None:
            route.fulfill(path=script, content_type="text/javascript")
        else:
            route.abort()

    page.route("**/*", answer)
    page.goto(URL)
    panel = page.get_by_role("region", name="Subnetwork probing")
    expect(panel).to_contain_text("No kernel is behind this widget")
    expect(panel).to_contain_text("12 of 12")
    expect(page.locator(".bqplot .curve path.line").first).to_have_attribute("d", re.compile("L"))
    circuit = page.get_by_role("region", name="Circuit", exact=True)
    circuit.get_by_label("Number of edges").fill("9")
    circuit.get_by_label("Number of edges").press("Enter")
    expect(circuit.get_by_text("9 edges as text")).to_be_visible()
    photograph(page, "html-manager")
    # The manager's check of its own schema is strict with itself.
    assert [each for each in console.take() if "strict mode: use allowUnionTypes" not in each] == []

"""The circuit's colours when a person switches the theme in the menu."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Photograph
from tests.browser.panel import Panel
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

# The ports of the heads are filled with the colour that lies behind the picture.
_PORT_PIXELS = """
(output) => {
  const { backgroundColor } = getComputedStyle(output.querySelector(".spc-frame"));
  const ground = [...backgroundColor.match(/\\d+/g).map(Number).slice(0, 3), 255];
  const { width, height } = output.querySelector(".spc-front");
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  // Of the picture itself the browser would rather not be asked so often.
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(output.querySelector(".spc-front"), 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let pixels = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (ground.every((channel, k) => data[i + k] === channel)) pixels += 1;
  }
  return pixels;
}
"""

_GROUNDS = """
(output) => [...output.querySelectorAll('.spc-node')].filter((each) => each.checkVisibility())
  .map((each) => [each.dataset.state, each.dataset.linked, getComputedStyle(each).backgroundColor])
"""


def choose(page: Page, *path: str) -> None:
    """Choose an entry of the menu bar, by the names on the way to it."""
    first, *others = path
    page.locator(".lm-MenuBar-itemLabel").get_by_text(first, exact=True).click()
    for name in others:
        # A click on an entry with entries of its own opens them.
        page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True).click()


@pytest.fixture
def ended(workbench: Workbench) -> Iterator[Panel]:
    """A widget after a run, in a window that does not follow the system's colours for a while."""
    page = workbench.page
    choose(page, "Settings", "Theme", "Synchronize with System Settings")
    panel = workbench.new_panel(epochs=2)
    panel.press("Start")
    panel.expect_state("done")
    yield panel
    choose(page, "Settings", "Theme", "Synchronize with System Settings")


def test_the_picture_has_the_colours_of_the_theme_in_the_menu(
    ended: Panel, photograph: Photograph
) -> None:
    ended.output.locator(".spc-body").scroll_into_view_if_needed()
    body = ended.page.locator("body")
    for theme, is_light in (("Dark", "false"), ("Light", "true"), ("Dark", "false")):
        choose(ended.page, "Settings", "Theme", f"JupyterLab {theme}")
        expect(body).to_have_attribute("data-jp-theme-light", is_light, timeout=20_000)
        expect(ended.page.locator("#jupyterlab-splash")).to_be_hidden(timeout=20_000)
        ended.page.wait_for_timeout(1000)
        # A port has 99 pixels, most of them without a letter.
        assert ended.output.evaluate(_PORT_PIXELS) > 500, theme
        photograph(ended.page, f"theme-{theme.lower()}-circuit")


def test_members_of_the_circuit_look_like_members_while_another_node_is_pinned(
    ended: Panel, photograph: Photograph
) -> None:
    circuit = ended.output.get_by_role("region", name="Circuit", exact=True)
    circuit.get_by_label("Number of edges").fill("40")
    circuit.get_by_label("Find", exact=True).fill("A0.0")
    circuit.get_by_label("Find", exact=True).press("Enter")
    expect(circuit.locator('.spc-node[aria-pressed="true"]')).to_be_visible()
    photograph(ended.page, "pinned-circuit")
    nodes = ended.output.evaluate(_GROUNDS)
    apart = {ground for state, linked, ground in nodes if state == "alive" and linked == "false"}
    assert apart
    assert "rgba(0, 0, 0, 0)" not in apart, "only what is outside of the circuit has no ground"

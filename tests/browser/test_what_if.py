"""The circuit explains itself: what if, an edge under the pointer, two circuits, groups."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.panel import SOON
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

BESIDE_THE_OUTPUT = 432
"""Pixels of the window that JupyterLab needs for itself."""

EFFECT = re.compile(r"^KL [0-9.e-]+ → [0-9.e-]+ \([+−][0-9.e-]+\)$")


def test_a_person_asks_what_if_and_keeps_the_answer(
    workbench: Workbench, photograph: Photograph
) -> None:
    notebook, page = workbench.notebook, workbench.page
    panel = workbench.new_panel(epochs=4)
    panel.press("Start")
    panel.expect_state("done", timeout=60_000)
    circuit = panel.output.get_by_role("region", name="Circuit", exact=True)
    number = circuit.get_by_label("Number of edges")
    number.fill("40")
    head = circuit.get_by_role(
        "button", name=re.compile(r"^A[0-9]\.[0-9], .*edges? in the circuit")
    )
    head.first.focus()
    page.keyboard.press("x")
    effect = circuit.locator(".spc-effect")
    expect(effect).to_have_text(EFFECT, timeout=SOON)
    page.keyboard.press("z")
    expect(effect).to_have_text("")
    page.keyboard.press("y")
    expect(effect).to_have_text(EFFECT)
    circuit.get_by_label("Name of the circuit").fill("without a head")
    circuit.get_by_role("button", name="Keep", exact=True).click()
    expect(circuit.get_by_text("Kept: without a head (")).to_be_visible(timeout=SOON)
    kept = notebook.evaluate("print(len(probe.circuit.circuits['without a head']))")
    assert int(kept) < 40
    assert number.input_value() == "40"

    # The edge in view says what it does; the keyboard finds it in the list of its node.
    page.keyboard.press("Escape")
    head.first.click()
    circuit.get_by_role("button", name=re.compile("^Edge ")).first.click()
    expect(circuit.locator(".spc-edge-effect")).to_have_text(
        re.compile(r"^With(out)? it: KL .* \([+−]"), timeout=SOON
    )
    for scheme in ("light", "dark"):
        notebook.use_theme(scheme)
        photograph(page, f"what-if-{scheme}")
    assert violations(panel) == []

    circuit.get_by_role("button", name=re.compile("^Reset to")).click()
    circuit.get_by_label("Compare with").select_option("without a head")
    expect(circuit.get_by_text("Misses: only in without a head")).to_be_visible(timeout=SOON)
    head.first.click()
    circuit.get_by_label("Group", exact=True).fill("movers")
    circuit.get_by_label("Group", exact=True).press("Enter")
    expect(circuit.locator(".spc-group-name")).to_have_text("movers")
    assert violations(panel) == []
    photograph(page, "groups-dark")
    for width in (420, 1600):
        page.set_viewport_size({"width": width + BESIDE_THE_OUTPUT, "height": 1100})
        number.scroll_into_view_if_needed()
        photograph(page, f"groups-{width}")
    assert "movers" in notebook.evaluate("print(probe.circuit.node_groups)")

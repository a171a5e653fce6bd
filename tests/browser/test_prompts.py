"""Single prompts: what comes next, a look into a head, a pair that a person types."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Photograph
from tests.browser.panel import SOON, TRAINING
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

CLEAN = "As Jack and Clara walked through the station, Jack showed a basket to"

_INK = """
(canvas) => {
  const { width, height } = canvas;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  return data.filter((value, index) => index % 4 === 3 && value > 0).length;
}
"""
"""How many pixels of a picture are painted."""

_CONTENT_FITS = """
(view) => {
  const { left, right } = view.getBoundingClientRect();
  return [...view.querySelectorAll("*")]
    // What scrolls has a box of its own.
    .filter((each) => !each.closest(".spp-scroller *, .spp-said, option, .spp-run *"))
    .filter((each) => each.checkVisibility())
    .every((each) => {
      const box = each.getBoundingClientRect();
      return box.left > left - 1 && box.right < right + 1;
    });
}
"""


def test_a_person_reads_a_circuit_prompt_by_prompt(
    workbench: Workbench, photograph: Photograph
) -> None:
    panel = workbench.new_panel(epochs=6)
    panel.open_tab("Prompts")
    view = panel.output.get_by_role("region", name="Prompts")
    expect(view.get_by_role("status")).to_contain_text("No scores yet")
    prompts = view.get_by_role("listbox", name="Prompts")
    expect(prompts.get_by_role("option")).to_have_count(100)
    panel.press("Start")
    panel.expect_state("done", timeout=TRAINING)

    # What comes next follows the slider of the circuit view.
    predictions = view.get_by_role("table", name=re.compile(r"^Circuit of"))
    panel.output.get_by_label("Number of edges", exact=True).fill("33")
    expect(predictions).to_have_attribute("class", "spp-run", timeout=SOON)
    expect(predictions.locator("caption")).to_have_text("Circuit of 33 edges", timeout=SOON)
    expect(
        view.get_by_role("table", name="Whole model", exact=True).get_by_role("row")
    ).to_have_count(6)
    expect(view).to_contain_text("measured on 256 prompts with 33 edges", ignore_case=True)
    expect(view).to_contain_text("worst prompts lose")
    # It says nothing any more, unless the machine is too busy to follow at once.
    expect(view.get_by_role("status").filter(has_not_text="A circuit takes")).to_have_count(0)

    # Another prompt, by keyboard: the worst of them.
    prompts.focus()
    view.page.keyboard.press("Home")
    worst = prompts.locator("option").first
    expect(prompts).to_have_value(worst.get_attribute("value") or "", timeout=SOON)
    tokens = view.get_by_role("list", name="Tokens of the prompt pair")
    words = (worst.text_content() or "").split(" →")[0].split()
    expect(tokens).to_contain_text(f"·{words[2]}", timeout=SOON)
    expect(tokens.locator(".spp-differs")).not_to_have_count(0)

    # A head: chosen here, and pinned in the circuit.
    node = view.get_by_label("Look into")
    node.select_option("A2.1")
    patterns = view.get_by_role("img", name=re.compile("^Attention of A2.1"))
    expect(patterns).to_have_count(2, timeout=SOON)
    for index in range(2):
        assert patterns.nth(index).evaluate(_INK) > 100
    head = workbench.notebook.evaluate(
        "print(next(edge.src.name for edge, _ in probe.prune_scores.top(33)"
        " if edge.src.head_idx is not None and edge.dest.name == 'Resid End'))"
    )
    circuit = panel.output.get_by_role("region", name="Circuit", exact=True)
    box = circuit.get_by_role("button", name=re.compile(rf"^{re.escape(head)}\b"))
    box.click()
    expect(node).to_have_value(head, timeout=SOON)
    # Switched off by hand, and on again: what comes next is that of the edited circuit.
    box.press("x")
    edited = re.compile(r"^Circuit of (\d+) edges, (\d+) switched by hand$")
    expect(predictions.locator("caption")).to_have_text(edited, timeout=SOON)
    left, switched = map(int, re.findall(r"\d+", predictions.locator("caption").inner_text()))
    assert left + switched == 33
    expect(view).to_contain_text(f"with {left} edges, {switched} switched by hand", timeout=SOON)
    photograph(workbench.page, "prompts-edited")
    box.press("z")
    expect(predictions.locator("caption")).to_have_text("Circuit of 33 edges", timeout=SOON)
    patterns = view.get_by_role("img", name=re.compile(rf"^Attention of {re.escape(head)}"))
    expect(patterns).to_have_count(2, timeout=SOON)
    patterns.first.hover(position={"x": 66, "y": 66})
    expect(view.locator(".spp-readout")).to_contain_text("whole model 1.000, circuit 1.000")
    query = view.get_by_label("Attention from")
    query.select_option("2")
    expect(view.locator(".spp-query tbody tr")).to_have_count(3)
    writes = view.get_by_role("table", name="Writes towards, circuit of 33 edges")
    expect(writes.get_by_role("row")).to_have_count(2)
    edges = view.get_by_role("group", name="Edges out of it")
    expect(edges).to_contain_text(f"{head}->Resid End")
    node.select_option("MLP 1")
    expect(patterns).to_have_count(0, timeout=SOON)
    node.select_option(head)

    # A pair of one's own.
    view.get_by_text("A pair of your own").click()
    clean, corrupt = view.get_by_label("Clean prompt"), view.get_by_label("Corrupt prompt")
    clean.fill(CLEAN)
    corrupt.fill("As Jack and Clara")
    corrupt.press("Enter")
    expect(view.get_by_role("alert")).to_contain_text("as many tokens as the clean prompt has")
    expect(corrupt).to_have_attribute("aria-invalid", "true")
    corrupt.fill(CLEAN.replace("Jack showed", "Louis showed"))
    view.get_by_role("button", name="Show this pair").click()
    expect(tokens.locator(".spp-differs")).to_have_count(1, timeout=SOON)
    expect(tokens.locator(".spp-differs")).to_have_text("clean ·Jack, corrupt ·Louis")
    expect(view.get_by_role("alert")).to_have_count(0)

    for theme in ("light", "dark"):
        workbench.notebook.use_theme(theme)
        for width in (1600, 1280, 852):
            workbench.page.set_viewport_size({"width": width, "height": 1100})
            expect(patterns.first).to_be_visible(timeout=SOON)
            view.evaluate("view => view.scrollIntoView({ block: 'end' })")
            assert view.evaluate(_CONTENT_FITS)
            photograph(workbench.page, f"prompts-{theme}-{width}")
        assert violations(panel) == []

"""The page to explore, from disk: circuit, chart and curve work without a server and a kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.evaluation.evaluate import evaluate
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.report.picture import snapshot
from tests.browser.axe import AXE
from tests.browser.conftest import Photograph
from tests.browser.console import Console
from tests.model_kinds import bridge, dataloader

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=\"document.title='broken'\">"

# The page's own policy refuses a script that is added to it; an evaluation is no part of the page.
_CHECK = """
async () => {
  const { violations, passes } = await axe.run(document, { resultTypes: ["violations", "passes"] });
  return {
    passes: passes.map((rule) => rule.id),
    violations: violations.map(({ id, nodes }) => [id, nodes.map((node) => node.failureSummary)]),
  };
}
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = patchable_model(bridge("native-attention-only"))
    config = SubnetworkProbingConfig(epochs=10, seed=3, learning_rate=0.2)
    trainer = SubnetworkProbing(model, dataloader(), config)
    trainer.run(progress=False)
    scores = trainer.prune_scores
    path = tmp_path_factory.mktemp("saved") / "circuit.html"
    snapshot(
        model,
        scores,
        history=trainer.history,
        config=config,
        official_edges=[edge for edge, _ in scores.top(10)[::2]],
        n_edges=30,
        title=HOSTILE,
        faithfulness={HOSTILE: evaluate(model, dataloader(), scores, random=2, progress=False)},
        code=f"print({HOSTILE!r})",
        prompts=dataloader(),
    ).save(path)
    return path


def check_accessibility(page: Page) -> None:
    page.evaluate(AXE.read_text())
    results = page.evaluate(_CHECK)
    assert {"button-name", "label", "color-contrast", "page-has-heading-one"} <= set(
        results["passes"]
    )
    assert results["violations"] == []


def test_a_saved_page_is_explored_from_disk(
    browser: Browser, console: Console, saved: Path
) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 1000}, color_scheme="light", offline=True
    )
    page = context.new_page()
    console.listen(page)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    page.goto(saved.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)

    circuit = page.get_by_role("region", name="Circuit", exact=True)
    circuit.get_by_label("Number of edges").fill("9")
    circuit.get_by_label("Number of edges").press("Enter")
    expect(circuit.get_by_text("9 edges as text")).to_be_visible()
    slider = circuit.get_by_role("slider")
    slider.press("ArrowRight")
    expect(circuit.get_by_text("10 edges as text")).to_be_visible()
    slider.press("End")
    circuit.get_by_label("Find").fill("A1.2")
    expect(circuit.get_by_text("1 node")).to_be_visible()
    circuit.get_by_label("Find").press("Enter")
    node = circuit.get_by_role("button", name=re.compile("^A1.2,"))
    expect(node).to_have_attribute("aria-pressed", "true")
    circuit.get_by_role("button", name=re.compile("^A0.1,")).hover()
    details = circuit.locator(".spc-details")
    expect(details).to_contain_text("head 1 of block 0")
    expect(details).to_contain_text("Resid Start")

    # What comes next was recorded: for the size of the picture, and for others near the slider.
    prompts = page.get_by_role("region", name="Prompts", exact=True)
    caption = prompts.get_by_role("table", name=re.compile("^Circuit of")).locator("caption")
    circuit.get_by_label("Number of edges").fill("30")
    expect(caption).to_have_text("Circuit of 30 edges")
    circuit.get_by_label("Number of edges").fill("31")
    expect(prompts).to_contain_text("Recorded with 30 edges, the size nearest to the slider")
    slider.press("Home")
    expect(caption).to_have_text("Circuit of 0 edges")
    tokens = prompts.get_by_role("list", name="Tokens of the prompt pair")
    before_choice = tokens.inner_text()
    prompts.get_by_role("listbox", name=re.compile("^Prompts, worst first")).press("ArrowDown")
    expect(tokens).not_to_have_text(before_choice, use_inner_text=True)

    chart = page.get_by_role("region", name="Chart", exact=True)
    lines = chart.locator(".spg-line")
    before = lines.first.get_attribute("d")
    assert before is not None
    assert before.count("L") > 10
    chart.locator(".spx-plot").hover()
    expect(chart.locator(".spx-legend thead th").last).to_have_text(re.compile(r"At step \d+"))
    chart.get_by_label("Loss axis logarithmic").uncheck()
    expect(lines.first).not_to_have_attribute("d", before)
    chart.get_by_role("button", name="Zoom in").click()
    chart.get_by_label("Smoothing").fill("0.9")
    expect(lines.first).to_have_attribute("opacity", "0.3")

    # The curve and the circuit have one size.
    curve = page.get_by_role("region", name="Faithfulness", exact=True)
    expect(curve.get_by_text(HOSTILE).first).to_be_visible()
    curve.get_by_role("slider").press("Home")
    expect(circuit.get_by_label("Number of edges")).to_have_value("0")
    slider.press("ArrowRight")
    expect(curve.get_by_role("slider")).to_have_attribute("aria-valuenow", "1")

    assert [each.url for each in asked] == [saved.as_uri(), "data:,"][: len(asked)]
    assert page.title() == HOSTILE
    assert console.take() == []
    # The policy stands: nobody makes code from text here.
    assert (
        page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "document.title = 'broken'";
      document.body.append(script);
      return document.title;
    }""")
        == HOSTILE
    )
    assert any("Content Security Policy" in each for each in console.take())
    context.close()


def test_it_is_readable_in_every_theme_and_width(
    browser: Browser, console: Console, saved: Path, photograph: Photograph
) -> None:
    context = browser.new_context()
    page = context.new_page()
    console.listen(page)
    page.goto(saved.as_uri())
    for scheme, width in (("light", 1280), ("dark", 1600), ("light", 420), ("dark", 420)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 1000})
        expect(page.locator(".spg-picture")).to_have_attribute("width", re.compile(r"\d"))
        # No part of it is wider than the window.
        page.wait_for_function("document.documentElement.scrollWidth <= window.innerWidth")
        check_accessibility(page)
        photograph(page, f"page-{scheme}-{width}")
    context.close()

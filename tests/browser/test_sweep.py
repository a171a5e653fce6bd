"""The view of a sweep: how its runs stand, and the circuit of the one that is clicked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.axe import AXE
from tests.browser.conftest import Photograph
from tests.browser.notebook import PATIENCE
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

SWEEP = """
from concurrent.futures import ThreadPoolExecutor
from torch.utils.data import Subset

few = sp.PromptDataLoader(Subset(task.train_loader.dataset, range(4)), batch_size=4)
grid = [
    {"method": "mask_gradient", "seed": 0, "circuit_size": 40},
    {"method": "random", "seed": 0, "circuit_size": 10},
    {"method": "random", "seed": 0, "circuit_size": 1_000_000},
]
executor = ThreadPoolExecutor(1)
sweep = sp.sweep(lambda: (task.model, few), grid, "sweep", executor)
probe = sp.SweepView(sweep, task.model)
probe
"""

VIOLATIONS = """
async (view) => {
  const results = await axe.run(view.closest(".widget-vbox"), {
    resultTypes: ["violations", "passes"],
  });
  return {
    passes: results.passes.map((rule) => rule.id),
    violations: results.violations.map((rule) => [
      rule.id,
      rule.nodes.map((node) => node.html.slice(0, 200) + " " + node.failureSummary),
    ]),
  };
}
"""


def test_a_sweep_shows_states_plot_and_front_and_a_click_on_a_run_shows_its_circuit(
    workbench: Workbench, photograph: Photograph
) -> None:
    output = workbench.notebook.outputs(workbench.notebook.append_and_begin(SWEEP.strip()))
    view = output.get_by_role("region", name="Sweep", exact=True)
    expect(view.get_by_role("status")).to_have_text("2 done, 1 failed", timeout=PATIENCE)
    lines = view.locator("tbody tr")
    expect(lines).to_have_class(["sps-done", "sps-done", "sps-failed"])
    number_shown = re.compile(r"^\d[\d.e-]*$")
    texts = ["mask_gradient", "0", "40", "done", "", "40", number_shown, number_shown, ""]
    expect(lines.nth(0).locator("td")).to_have_text(texts)
    expect(lines.get_by_role("progressbar").nth(0)).to_have_js_property("value", 1)

    # A dot for each that was measured; the front goes through those that no other one beats.
    dots = view.locator(".sps-dot")
    expect(dots).to_have_count(2)
    places = [[float(dot.get_attribute(name) or 0) for name in ("cx", "cy")] for dot in dots.all()]
    front = (view.locator(".sps-front").get_attribute("points") or "").split()
    drawn = [[float(number) for number in point.split(",")] for point in front]
    # Down is less lost: 40 edges have to lose less than 10 to be on it.
    beaten = places[0][1] <= places[1][1]
    expected = [places[1]] if beaten else [places[1], places[0]]
    assert drawn == [pytest.approx(place, abs=0.06) for place in expected]
    expect(view.get_by_role("img", name="2 circuits. The Pareto front: 10 edges")).to_be_visible()

    number = output.get_by_role("spinbutton", name="Number of edges")
    dots.nth(0).click()
    expect(lines.nth(0)).to_have_class("sps-done sps-chosen")
    expect(number).to_have_value("40")
    expect(view.locator(".sps-detail")).to_have_text(re.compile("^Its folder: [0-9a-f]{12}$"))
    shows = """
(scores,) = sweep.prune_scores(task.model, method="mask_gradient")
print(set(probe.circuit.edges) == {edge for edge, _ in scores.top(40)})
"""
    assert workbench.notebook.evaluate(shows.strip()) == "True"
    view.get_by_role("button", name="Run 3: method random").press("Enter")
    expect(view.locator(".sps-detail")).to_have_text(
        re.compile(
            "^ArgumentError: circuit_size: wanted at most 479 edges, got 1000000\n\nTraceback"
        )
    )
    # It has no circuit, and that of another run is not shown for it.
    expect(number).to_have_value("0")
    _expect_no_violations(workbench, view)
    view.get_by_role("button", name="Run 1: method mask_gradient").press("Enter")
    expect(number).to_have_value("40")
    for theme in ("dark", "light"):
        workbench.notebook.use_theme(theme)
        _expect_no_violations(workbench, view)
        view.scroll_into_view_if_needed()
        photograph(workbench.page, f"sweep-{theme}")
    workbench.notebook.evaluate("executor.shutdown()")


def _expect_no_violations(workbench: Workbench, view: Locator) -> None:
    if not workbench.page.evaluate("'axe' in window"):
        workbench.page.add_script_tag(path=AXE)
    found = view.evaluate(VIOLATIONS)
    # Proof that it looked at what matters here.
    assert {"button-name", "color-contrast", "svg-img-alt"} <= set(found["passes"])
    assert found["violations"] == []

"""The chart as a person uses it: by pointer, by keyboard, and while the kernel is busy."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.axe import AXE
from tests.browser.conftest import Photograph
from tests.browser.panel import SOON
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser

# Loss and edges fall; the loss has a spike at step 5,000.
MAKE_CHART = """
import time
from sp_widget import methods
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.widget.chart import Chart
from sp_widget.widget.past_run import PastRun

def records(first, last, scale=1.0):
    return [
        StepRecord(
            step=n, epoch=1, loss=50.0 if n == 5000 else scale * (4 / n**0.3 + n % 7 / 20),
            hard_edge_count=40 + 400 // n, seconds=0.01, validation=1.5 / n**0.1,
            terms={"faithfulness": scale * 2 / n**0.2, "penalty": 2 / n**0.5},
        )
        for n in range(first, last + 1)
    ]

class Probe:
    def close(self):
        chart.close()

chart, probe = Chart(methods.get("subnetwork_probing").series_for(True)), Probe()
def show(first, last):
    chart.append(records(first, last))
    chart.draw()
    chart.describe()
show(1, 200)
chart.view
"""

_LINE = """
(chart, colour) => {
  const paths = [...chart.querySelectorAll("path.line")].filter((line) => {
    return line.getAttribute("d") && line.style.stroke === colour;
  });
  const path = paths[0];
  if (!path) return null;
  const plot = chart.querySelector(".spx-plot").getBoundingClientRect();
  const { left, right, top, bottom } = path.getBoundingClientRect();
  return {
    left: (left - plot.left) / plot.width,
    right: (right - plot.left) / plot.width,
    height: (bottom - top) / plot.height,
    points: path.getAttribute("d").split(/[ML]/).length - 1,
    opacities: paths.map((each) => each.style.opacity).join(" "),
  };
}
"""
_FITS = """
(chart) => {
  const { right } = chart.getBoundingClientRect();
  const parts = [...chart.querySelectorAll(".spx-controls *, .spx-legend *, .axislabel")]
    .filter((part) => !part.closest(".spx-hidden"));
  return parts.every((part) => part.getBoundingClientRect().right <= right);
}
"""

LOSS_COLOUR = "rgb(42, 127, 212)"

# Handled on another thread, while the cell waits.
_WAIT_IN_KERNEL = """
began = time.monotonic()
while not ({condition}) and time.monotonic() < began + 20:
    time.sleep(0.05)
print({condition})
"""

OpenChart = Callable[[], Locator]


@pytest.fixture
def open_chart(workbench: Workbench) -> OpenChart:
    def open_it() -> Locator:
        cell = workbench.notebook.append_and_begin(MAKE_CHART.strip())
        workbench.notebook.finish(cell)
        chart = workbench.notebook.outputs(cell).locator(".sp-chart")
        expect(chart.locator("path.line[d]").first).to_be_attached(timeout=SOON)
        chart.scroll_into_view_if_needed()
        return chart

    return open_it


def numbers(chart: Locator, line: str) -> list[str]:
    """Last, lowest and the value read of a line in the legend."""
    row = chart.get_by_role("row").filter(has=chart.page.get_by_label(line, exact=True))
    return row.get_by_role("cell").all_text_contents()


def expect_in_kernel(workbench: Workbench, condition: str) -> None:
    """The kernel has learnt what a person did."""
    code = _WAIT_IN_KERNEL.format(condition=condition).strip()
    assert workbench.notebook.evaluate(code) == "True"


def expect_loss_line(chart: Locator, condition: str) -> None:
    """Something holds of the line of the loss, as `_LINE` describes it."""
    chart.page.wait_for_function(
        f"([chart, colour]) => {{ const line = ({_LINE})(chart, colour);"
        f" return line && {condition}; }}",
        arg=[chart.element_handle(), LOSS_COLOUR],
        timeout=SOON,
    )


def move_to(chart: Locator, fraction: float) -> None:
    """Move the pointer to a part of the width of the plot."""
    box = chart.locator(".spx-plot").bounding_box()
    assert box
    chart.page.mouse.move(box["x"] + fraction * box["width"], box["y"] + box["height"] / 2)


def test_numbers_stand_beside_every_line_and_the_pointer_reads_all_at_a_step(
    open_chart: OpenChart,
) -> None:
    chart = open_chart()
    # 4 / 200**0.3 + 4 / 20 at the last step, 4 / 196**0.3 at the lowest.
    assert numbers(chart, "Loss") == ["1.016", "0.8211", ""]
    assert numbers(chart, "Edges in the circuit") == ["42", "42", ""]
    move_to(chart, 0.5)
    heading = chart.get_by_role("columnheader", name=re.compile("At step 10[01]"))
    expect(heading).to_be_attached()
    step = int(re.findall(r"\d+", heading.text_content() or "")[0])
    assert float(numbers(chart, "Loss")[2]) == pytest.approx(
        4 / step**0.3 + step % 7 / 20, abs=1e-3
    )
    assert numbers(chart, "Edges in the circuit")[2] == str(40 + 400 // step)
    move_to(chart, 1.2)
    expect(chart.get_by_role("columnheader", name="At step –")).to_be_attached()


def test_the_controls_work_while_the_kernel_is_busy_and_the_kernel_learns_of_it(
    workbench: Workbench, open_chart: OpenChart, photograph: Photograph
) -> None:
    chart = open_chart()
    expect_loss_line(chart, "line.points === 200 && line.right > 0.98")
    cell = workbench.notebook.append_and_begin("time.sleep(8)")

    chart.get_by_label("Smoothing").fill("0.9")
    expect_loss_line(chart, "line.opacities === '0.3 1'")
    expect(chart.get_by_text("Loss and its terms, logarithmic")).to_be_visible()
    expect(chart.locator(".tick", has_text=re.compile("^(0.2|0.5|1|2)$"))).to_have_count(4)
    chart.get_by_label("Edges axis logarithmic").check()
    expect(chart.get_by_text("Edges in the circuit, logarithmic")).to_be_visible()
    chart.get_by_role("button", name="Zoom in").click()
    expect_loss_line(chart, "line.points > 90 && line.points < 110 && line.right > 0.98")
    chart.get_by_label("Validation", exact=True).uncheck()
    assert workbench.notebook.is_running(cell)
    photograph(chart.page, "chart-smoothed-log-zoomed")

    workbench.notebook.finish(cell)
    chart.get_by_role("button", name="Reset view").click()
    expect_in_kernel(workbench, "chart.tools.window is None")
    expect_in_kernel(workbench, "chart.tools.log_axes == ['left', 'right']")
    expect_in_kernel(workbench, "chart.tools.smoothing == 0.9")
    expect_in_kernel(workbench, "chart.tools.hidden == ['Validation']")


def test_dragging_zooms_shift_pans_and_a_double_click_leads_back(
    workbench: Workbench, open_chart: OpenChart
) -> None:
    chart = open_chart()
    page = chart.page
    move_to(chart, 0.25)
    page.mouse.down()
    move_to(chart, 0.4)
    move_to(chart, 0.5)
    page.mouse.up()
    window = "chart.tools.window or [0, 0]"  # None until the kernel has learnt of one.
    expect_in_kernel(workbench, f"[round(step, -1) for step in {window}] == [50, 100]")
    chart.scroll_into_view_if_needed()
    move_to(chart, 0.9)
    page.keyboard.down("Shift")
    page.mouse.down()
    move_to(chart, 0.6)
    move_to(chart, 0.4)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect_in_kernel(workbench, "abs(chart.tools.window[0] - 75) < 3")
    expect_in_kernel(workbench, "abs(chart.tools.window[1] - 125) < 3")
    chart.scroll_into_view_if_needed()
    chart.locator(".spx-plot").dblclick()
    expect_in_kernel(workbench, "chart.tools.window is None")


def test_a_long_run_shows_every_step_where_a_person_zooms_in(
    workbench: Workbench, open_chart: OpenChart
) -> None:
    chart = open_chart()
    workbench.notebook.evaluate("show(201, 20_000)")
    workbench.notebook.evaluate("chart.tools.window = [4_900, 5_100]")
    chart.scroll_into_view_if_needed()
    # Every step and one more on either side; the spike is in view: it is most of a
    # pane that has the other terms as well.
    expect_loss_line(chart, "line.points === 203 && line.height > 0.3")


def test_the_keyboard_reaches_every_control_and_reads_the_values(
    workbench: Workbench, open_chart: OpenChart
) -> None:
    chart = open_chart()
    page = chart.page
    chart.get_by_label("Loss axis logarithmic").focus()
    names = []
    for _ in range(20):
        names.append(
            page.evaluate(
                "(document.activeElement.getAttribute('aria-label')"
                " ?? document.activeElement.labels?.[0]?.textContent"
                " ?? document.activeElement.textContent)"
            )
        )
        page.keyboard.press("Tab")
    assert names[:16] == [
        "Loss axis logarithmic",
        "Edges axis logarithmic",
        "Steps axis logarithmic",
        "Zoom in",
        "Zoom out",
        "Earlier steps",
        "Later steps",
        "Reset view",
        "Legend",
        "Loss",
        "Faithfulness",
        "Lambda × regularizer",
        "Validation",
        "Edges in the circuit",
        "Read at step",
        "Smoothing",
    ]
    assert names[16] == "Data of the chart"
    slider = chart.get_by_label("Read at step")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^Step 4, Loss 2\.839, "))
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^Step 200, Loss 1\.016, "))
    expect(chart.get_by_role("columnheader", name="At step 200")).to_be_attached()

    chart.get_by_text("Data of the chart").focus()
    page.keyboard.press("Enter")
    table = chart.get_by_role("region", name="Data of the chart").get_by_role("table")
    expect(table.get_by_role("row").nth(1)).to_have_text(
        re.compile(r"^1\s*–\s*4\.05\s*2\s*2\s*1\.5\s*440$")
    )
    assert table.get_by_role("row").count() > 20


def test_after_a_reload_the_chart_looks_as_it_was_left(
    workbench: Workbench, open_chart: OpenChart
) -> None:
    chart = open_chart()
    chart.get_by_label("Smoothing").fill("0.8")
    chart.get_by_label("Steps axis logarithmic").check()
    chart.get_by_label("Faithfulness", exact=True).uncheck()
    expect_in_kernel(workbench, "chart.tools.hidden == ['Faithfulness']")
    workbench.notebook.save()
    workbench.notebook.open()
    chart = workbench.page.locator(".sp-chart")
    expect(chart.locator("path.line[d]").first).to_be_attached(timeout=60_000)
    expect(chart.get_by_label("Smoothing")).to_have_value("0.8")
    expect(chart.get_by_label("Steps axis logarithmic")).to_be_checked()
    expect(chart.get_by_label("Faithfulness", exact=True)).not_to_be_checked()
    expect(chart.get_by_text("Step, logarithmic")).to_be_attached()
    expect_loss_line(chart, "line.points === 200 && line.right > 0.98")


def test_earlier_runs_and_evaluations_have_names_and_nothing_is_out_of_reach(
    workbench: Workbench,
    open_chart: OpenChart,
    photograph: Photograph,
) -> None:
    chart = open_chart()
    page = chart.page
    workbench.notebook.evaluate(
        "chart.show_runs([PastRun('run 1', records(1, 150, 1.3)), "
        "PastRun('run 2', records(1, 250, 0.8))])\n"
        "chart.show_evaluations([HardEvaluation(n, 60, 0.9 + 1 / n**0.5, 0.2) "
        "for n in range(20, 201, 20)])"
    )
    chart.get_by_label("Earlier runs show").select_option("Edges in the circuit")
    expect(chart.get_by_label("Edges in the circuit, run 2")).to_be_checked()
    chart.get_by_label("Earlier runs show").select_option("Loss")
    for name in ("Loss, run 1", "Loss, run 2", "Hard circuit, validation data"):
        expect(chart.get_by_label(name)).to_be_checked()
    expect(chart.locator("path.dot")).to_have_count(10)
    chart.scroll_into_view_if_needed()
    chart.get_by_text("Data of the chart").click()
    page.add_script_tag(path=AXE)
    for scheme in ("dark", "light"):
        workbench.notebook.use_theme(scheme)
        move_to(chart, 0.5)
        photograph(page, f"chart-runs-{scheme}")
        found = chart.evaluate(
            "async (chart) => (await axe.run(chart)).violations"
            ".map((each) => [each.id, each.nodes.map((node) => node.html.slice(0, 160))])"
        )
        assert found == []

    page.set_viewport_size({"width": 852, "height": 1100})
    chart.scroll_into_view_if_needed()
    page.wait_for_function(_FITS, arg=chart.element_handle(), timeout=SOON)
    photograph(page, "chart-narrow")


def test_one_step_can_be_seen(workbench: Workbench, open_chart: OpenChart) -> None:
    chart = open_chart()
    workbench.notebook.evaluate("chart.clear(); show(1, 1)")
    expect_loss_line(chart, "line.points === 2 && line.right - line.left > 0.02")

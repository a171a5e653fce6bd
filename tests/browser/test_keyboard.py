"""The panel without a mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from sp_widget.methods.parameter import parameters
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from tests.browser.panel import Panel
from tests.browser.workbench import Workbench

pytestmark = pytest.mark.browser


def settings(group: str) -> list[str]:
    """The settings of a group, each after the link to what the documentation says of it; only the
    link where a setting cannot be used without validation data."""
    names = []
    for each in parameters(SubnetworkProbingConfig).values():
        if each.group != group or each.kind == "code":
            continue
        names.append(f"{each.label} in the documentation")
        if not each.needs_validation:
            names.append(each.label)
    return names


CONTROLS = [
    "Settings",
    "Method",
    "What the methods are for",
    "Preset",
    *settings("main"),
    "Save scores as",
    "More settings",
    *settings("more"),
    "Estimate time",
]
"""After the buttons: the tab and what is in it. Chart and circuit, which stand above it, come last:
a person goes from what is set to what comes of it."""

# The name of the focused control in the panel; empty where the focus is elsewhere.
_FOCUSED = """
region => {
  const focused = document.activeElement;
  if (focused.closest(".sp-chart")) return "the chart";
  if (focused.closest(".sp-circuit")) return "the circuit";
  if (!region.contains(focused)) return "";
  const label = focused.labels?.[0] ?? focused;
  return (focused.getAttribute("aria-label") ?? label.textContent).trim();
}
"""


_WHEN_ANSWER = """import time
end = time.monotonic() + 60
while probe.config.faithfulness_target != "answer" and time.monotonic() < end:
    time.sleep(0.05)
print(probe.config.faithfulness_target)"""


def focused(panel: Panel) -> str:
    name: str = panel.region.evaluate(_FOCUSED)
    return name


def tab_through(panel: Panel) -> list[str]:
    """Press Tab until the focus has been in the widget and has left it; the names on the way, chart
    and circuit once each."""
    names: list[str] = []
    for _ in range(200):
        panel.page.keyboard.press("Tab")
        name = focused(panel)
        if name:
            if names[-1:] != [name] or not name.startswith("the "):
                names.append(name)
        elif names:
            break
    return names


def tab_to(panel: Panel, name: str) -> None:
    for _ in range(200):
        if focused(panel) == name:
            return
        panel.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name}")


def test_tab_reaches_every_control_that_can_be_used(workbench: Workbench) -> None:
    panel = workbench.new_panel()
    panel.unfold("More settings")
    workbench.notebook.select(cell=1)
    assert tab_through(panel) == ["Start", "Step", *CONTROLS, "the chart", "the circuit"]
    # And back in.
    panel.page.keyboard.press("Shift+Tab")
    assert focused(panel) == "the circuit"
    workbench.notebook.select(cell=1)
    tab_to(panel, "Settings")
    names = []
    for _ in range(6):
        panel.page.keyboard.press("ArrowRight")
        names.append(focused(panel))
    assert names == ["Faithfulness", "Prompts", "Runs", "Code", "Export", "Settings"]
    expect(panel.region.get_by_role("tab", name="Settings")).to_have_attribute(
        "aria-selected", "true"
    )


def test_a_training_from_start_to_reset_without_a_mouse(workbench: Workbench) -> None:
    panel = workbench.new_panel(epochs=200)
    keyboard = panel.page.keyboard
    workbench.notebook.select(cell=1)
    cells = workbench.notebook.cells.count()

    tab_to(panel, "Lambda")
    keyboard.press("Control+a")
    keyboard.type("2e0")
    keyboard.press("Enter")
    expect(panel.field("Lambda")).to_have_value("2")
    assert focused(panel) == "Lambda"
    tab_to(panel, "More settings")
    keyboard.press("Enter")
    tab_to(panel, "Tree optimisation")
    keyboard.press("Space")
    expect(panel.field("Tree optimisation")).not_to_be_checked()
    keyboard.press("Space")
    expect(panel.field("Tree optimisation")).to_be_checked()

    workbench.notebook.select(cell=1)
    tab_to(panel, "Start")
    keyboard.press("Enter")
    panel.expect_state("running")
    assert focused(panel) == "Start", "the button that was pressed keeps the focus"
    keyboard.press("Enter")
    panel.expect_steps_beyond(2)
    tab_to(panel, "Pause")
    keyboard.press("Space")
    panel.expect_state("paused")
    assert focused(panel) == "Pause"
    tab_to(panel, "Step")
    step = panel.step
    keyboard.press("Space")
    panel.expect_step(step + 1)
    assert focused(panel) == "Step"
    keyboard.press("Shift+Tab")
    assert focused(panel) == "Stop"
    keyboard.press("Enter")
    panel.expect_state("stopped")
    tab_to(panel, "Reset")
    keyboard.press("Enter")
    panel.expect_state("idle")
    assert focused(panel) == "Reset"

    expect(workbench.notebook.cells).to_have_count(cells)
    expect(panel.page.locator(".jp-Dialog")).to_have_count(0)


def test_a_select_takes_the_keys_that_are_shortcuts_of_the_notebook(workbench: Workbench) -> None:
    panel = workbench.new_panel()
    cells = workbench.notebook.cells.count()
    target = panel.field("Faithfulness target")
    target.focus()
    panel.page.keyboard.press("ArrowDown")
    expect(target).to_have_value("mse")
    panel.page.keyboard.press("a")
    expect(target).to_have_value("answer")
    expect(workbench.notebook.cells).to_have_count(cells)
    # The second of two edits waits in the page until the kernel has answered the first.
    assert workbench.notebook.evaluate(_WHEN_ANSWER) == "answer"


def test_a_field_that_is_locked_under_the_caret_keeps_focus_and_swallows_what_is_typed(
    workbench: Workbench,
) -> None:
    panel = workbench.new_panel(epochs=200)
    # Starts from code while the person is still in the field.
    workbench.notebook.evaluate("import threading; threading.Timer(1.5, probe.start).start()")
    cells = workbench.notebook.cells.count()
    panel.field("Epochs").focus()
    panel.expect_state("running")
    assert focused(panel) == "Epochs"
    # Each of them is a command on cells: cut, insert above, delete.
    for key in ("x", "a", "d", "d", "9"):
        panel.page.keyboard.press(key)
    expect(panel.field("Epochs")).to_have_value("200")
    expect(workbench.notebook.cells).to_have_count(cells)
    assert focused(panel) == "Epochs"

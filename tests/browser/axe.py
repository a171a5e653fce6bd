"""An automated accessibility check of the widget where it stands, in the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.panel import Panel

AXE = Path(__file__).resolve().parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"

_CHECK = """
async (output) => {
  const widget = output.querySelector(".sp-panel").closest(".widget-vbox");
  const results = await axe.run(widget, { resultTypes: ["violations", "passes"] });
  return {
    passes: results.passes.map((rule) => rule.id),
    violations: results.violations.map((rule) => ({
      rule: rule.id,
      help: rule.help,
      nodes: rule.nodes.map((node) => node.html.slice(0, 200) + " " + node.failureSummary),
    })),
  };
}
"""


def violations(panel: Panel) -> list[dict[str, Any]]:
    """What axe-core finds within our elements."""
    if not panel.page.evaluate("'axe' in window"):
        panel.page.add_script_tag(path=AXE)
    results = panel.output.evaluate(_CHECK)
    # Proof that it looked at what matters here.
    assert {"button-name", "label", "color-contrast", "aria-progressbar-name"} <= set(
        results["passes"]
    )
    found: list[dict[str, Any]] = results["violations"]
    return found

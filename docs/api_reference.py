"""Write the entries of `api.md` while the site is built: one for every public name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sp_widget

MARK = "<!-- entries -->"

TITLES = {
    "data": "Prompts",
    "engine": "Models and patching",
    "graph": "Nodes and edges",
    "circuits": "Scores and circuits",
    "methods": "Methods",
    "evaluation": "Evaluation",
    "report": "Pictures and tables",
    "runs": "Runs",
    "widget": "In the notebook",
    "types": "Types",
    "errors": "Errors",
}
"""The heading of each part of the package that has public names."""

MODULES = ("tasks", "methods", "runs")
"""What is public by itself, beside the names of the root."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its entries (called by MkDocs for every page)."""
    if page.file.src_uri != "api.md":
        return markdown
    return markdown.replace(MARK, "\n".join(entries()))


def entries() -> Iterator[str]:
    """Yield the lines that mkdocstrings turns into entries."""
    homes = sp_widget._HOMES
    parts = {home.split(".")[0] for home in homes}
    # A new part of the package needs a title here.
    assert parts <= TITLES.keys(), parts - TITLES.keys()
    for part, title in TITLES.items():
        if part not in parts:
            continue
        yield f"\n## {title}\n"
        for home, names in homes.items():
            if home.split(".")[0] == part:
                yield from (f"::: sp_widget.{home}.{name}\n" for name in names)
    for module in MODULES:
        yield f"\n## sp_widget.{module}\n"
        yield (
            f"::: sp_widget.{module}\n    options:\n      show_root_heading: false\n"
            "      show_root_toc_entry: false\n"
        )

"""A run as one HTML file that can be explored without a kernel: from disk, offline.

The page is TypeScript (`js/src/page/`): the views of the widgets, which find here what their kernel
would tell them. All of it is in the file. Its content security policy names the hash of the one
script and of the one stylesheet, and allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from sp_widget._version import __version__
from sp_widget.report.bundle import bundled
from sp_widget.report.recorded_prompts import RecordedPrompts
from sp_widget.report.tables import Rows, html_table

Traits = Mapping[str, Any]
"""Of a view, by their names."""


def web_page(
    title: str,
    words: str,
    *,
    circuit: Traits,
    chart: Traits | None,
    faithfulness: Traits | None,
    prompts: RecordedPrompts | None,
    tables: Mapping[str, Rows],
    code: str,
) -> bytes:
    """Return the file.

    Args:
        title: what stands above it.
        words: what it shows, in a sentence or two.
        circuit: what the circuit view shows.
        chart: what the chart shows; `None`: there was no training.
        faithfulness: what the faithfulness view shows; `None`: nothing was measured.
        prompts: what circuits predict on single prompts; `None`: nothing was asked.
        tables: what there is beside, by heading.
        code: Python that repeats the run; empty: none.
    """
    script, style = bundled("page.js"), bundled("page.css")
    parts = {"circuit": circuit, "chart": chart, "faithfulness": faithfulness, "prompts": prompts}
    data = _data(parts)
    code_block = (
        '<div class="spg-code"><h2 id="sp-code">Code</h2>'
        f'<pre tabindex="0" role="region" aria-labelledby="sp-code">{escape(code)}</pre></div>'
    )
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # Else a browser asks the server of the page for one.
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'<header><h1>{escape(title)}</h1><p class="spg-words">{escape(words)}</p></header>'
        "<main><noscript><p>The circuit and the chart need JavaScript.</p></noscript>"
        # The mark of ipywidgets on a view without a kernel: it offers nothing that needs one.
        '<div id="sp-circuit" class="jupyter-widgets-disconnected"></div>'
        '<div id="sp-prompts"></div>'
        '<div class="spg-curves"><div id="sp-chart"></div><div id="sp-faithfulness"></div></div>'
        f'<div class="spg-tables">{html_table(tables)}</div>{code_block if code else ""}</main>'
        f"<footer>Made with sp_widget {escape(__version__)}.</footer>"
        f'<script type="application/json" id="sp-data">{data}</script>'
        f'<script type="module">{script}</script></body></html>\n'
    )
    # Code may hold what no file can.
    return text.encode(errors="replace")


def _policy(script: str, style: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, default=_bytes, allow_nan=False, separators=(",", ":"))
    # Within a script element nothing but `<` can begin anything else.
    return text.replace("<", "\\u003c")


def _bytes(value: object) -> dict[str, str]:
    if not isinstance(value, bytes):
        raise TypeError(f"there is no JSON for {type(value)}")
    return {"base64": base64.b64encode(value).decode()}

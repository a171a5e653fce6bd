"""Results as a table: in a terminal, and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Row = Sequence[str]


def text_table(caption: str, titles: Row, rows: Sequence[Row]) -> str:
    """Return the caption and below it the columns, as wide as what is in them."""
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([caption, "", *shown])


def html_table(caption: str, titles: Row, rows: Sequence[Row]) -> str:
    """Return the same as HTML, which needs no style to be read."""
    head = "".join(f'<th scope="col" style="text-align:left">{escape(one)}</th>' for one in titles)
    cell = '<td style="text-align:left;vertical-align:top">'
    body = "".join(
        f"<tr>{''.join(f'{cell}{escape(one)}</td>' for one in row)}</tr>" for row in rows
    )
    return (
        f'<table><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def in_words(p: float) -> str:
    """Return a p-value as a table shows it; a dash where there is none."""
    return "–" if p != p else f"{p:.2g}"

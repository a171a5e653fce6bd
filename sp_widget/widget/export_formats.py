"""The files that a run can be exported to: name, kind and content of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sp_widget.circuits.score_files import to_json, to_safetensors
from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import StateError
from sp_widget.methods.record import StepRecord
from sp_widget.report.history_table import history_csv, history_parquet
from sp_widget.report.picture import Picture


class Exportable(Protocol):
    """What a run is exported from."""

    @property
    def history(self) -> list[StepRecord]: ...

    @property
    def prune_scores(self) -> PruneScores: ...

    def snapshot(self) -> Picture: ...


@dataclass(frozen=True)
class ExportFormat:
    """One kind of file."""

    name: str
    label: str
    file: str
    mime: str
    content: Callable[[Exportable], bytes]


def _history(run: Exportable, content: Callable[[list[StepRecord]], bytes]) -> bytes:
    history = run.history
    if not history:
        raise StateError("cannot export the history: no step was made")
    return content(history)


def _scores(run: Exportable, content: Callable[..., bytes]) -> bytes:
    scores = run.prune_scores
    return content(scores, scores.graph)


FORMATS: tuple[ExportFormat, ...] = (
    ExportFormat(
        "page_html",
        "Page to explore (HTML)",
        "probing.html",
        "text/html",
        lambda run: run.snapshot().web_page(),
    ),
    ExportFormat(
        "snapshot_svg",
        "All on one page (SVG)",
        "probing.svg",
        "image/svg+xml",
        lambda run: run.snapshot().render("svg"),
    ),
    ExportFormat(
        "snapshot_png",
        "All on one page (PNG)",
        "probing.png",
        "image/png",
        lambda run: run.snapshot().render("png"),
    ),
    ExportFormat(
        "snapshot_pdf",
        "All on one page (PDF)",
        "probing.pdf",
        "application/pdf",
        lambda run: run.snapshot().render("pdf"),
    ),
    ExportFormat(
        "chart_svg",
        "Chart (SVG)",
        "chart.svg",
        "image/svg+xml",
        lambda run: run.snapshot().render("svg", ["chart"]),
    ),
    ExportFormat(
        "chart_png",
        "Chart (PNG)",
        "chart.png",
        "image/png",
        lambda run: run.snapshot().render("png", ["chart"]),
    ),
    ExportFormat(
        "circuit_svg",
        "Circuit (SVG)",
        "circuit.svg",
        "image/svg+xml",
        lambda run: run.snapshot().render("svg", ["circuit"]),
    ),
    ExportFormat(
        "circuit_png",
        "Circuit (PNG)",
        "circuit.png",
        "image/png",
        lambda run: run.snapshot().render("png", ["circuit"]),
    ),
    ExportFormat(
        "history_csv",
        "History (CSV)",
        "history.csv",
        "text/csv",
        lambda run: _history(run, history_csv),
    ),
    ExportFormat(
        "history_parquet",
        "History (Parquet)",
        "history.parquet",
        "application/vnd.apache.parquet",
        lambda run: _history(run, history_parquet),
    ),
    ExportFormat(
        "scores_json",
        "Scores (JSON)",
        "prune_scores.json",
        "application/json",
        lambda run: _scores(run, to_json),
    ),
    ExportFormat(
        "scores_safetensors",
        "Scores (safetensors)",
        "prune_scores.safetensors",
        "application/octet-stream",
        lambda run: _scores(run, to_safetensors),
    ),
)

"""A training and its circuit as a static picture: no JavaScript, no kernel."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import Tensor

from sp_widget import methods
from sp_widget.circuits.arguments import check_count
from sp_widget.engine.patchable_model import PatchableModel, find_edges
from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.report import tables
from sp_widget.report.circuit_data import graph_data
from sp_widget.report.groups import NodeGroup, check_groups
from sp_widget.report.plain_text import plain
from sp_widget.report.top_circuit import DEFAULT_SIZE, top_circuit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Part = Literal["title", "chart", "circuit", "tables"]

PARTS: tuple[Part, ...] = get_args(Part)
"""From top to bottom."""

NEARLY_WHITE = 250
SHADES = 128
"""Of a picture within a notebook."""


class Picture:
    """A picture of what a training found; made by `snapshot` or by a widget's `snapshot()`.

    A notebook shows it by itself and keeps it, so that it is there on GitHub, on nbviewer and in
    a PDF. `save` writes a file.
    """

    def __init__(
        self,
        model: PatchableModel,
        prune_scores: Mapping[str, Tensor],
        *,
        history: Sequence[StepRecord],
        evaluations: Sequence[HardEvaluation],
        config: MethodConfig | None,
        official_edges: frozenset[Edge] | None,
        seq_labels: Sequence[str] | None,
        n_edges: int,
        title: str,
        groups: Sequence[NodeGroup],
    ) -> None:
        self.title = plain(title)
        """What the picture is of."""
        self._history = list(history)
        self._evaluations = list(evaluations)
        self._config = config
        self._circuit = top_circuit(model, prune_scores, n_edges, official_edges)
        self._data = graph_data(model, official_edges, seq_labels)
        self._groups = check_groups(self._data, groups)
        self.tables: dict[str, tables.Rows] = {
            "Result": tables.results(model, prune_scores, self._circuit, history, official_edges),
            "Strongest edges": tables.strongest(self._circuit),
        }
        """Settings, results and strongest edges in words, by heading."""
        if self._groups:
            self.tables["Groups"] = tables.groups(self._groups)
        if config is not None:
            self.tables = {"Settings": tables.settings(config), **self.tables}

    @property
    def words(self) -> str:
        """The picture in a sentence or two, for those who cannot see it."""
        results = dict(self.tables["Result"])
        first = ", ".join(name for name, _ in self.tables["Strongest edges"][:5])
        what = "Chart of the training, and circuit" if self._history else "Circuit"
        return (
            f"{self.title}. {what} of {results['Edges in the picture']} of "
            f"{results['Edges of the model']} edges, {results['of these on a path']} of them on a "
            f"path from input to output. Strongest: {first}."
        )

    @cached_property
    def svg(self) -> str:
        """The whole picture as SVG; letters are outlines, so it looks the same everywhere."""
        return self.render("svg").decode()

    @cached_property
    def png(self) -> bytes:
        """The whole picture as PNG."""
        return self.render("png")

    @cached_property
    def html(self) -> str:
        """The picture, and its tables, without style or script.

        Its picture is a PNG: sites that show notebooks take SVG apart within HTML.
        """
        parts: list[Part] = [part for part in self.parts if part != "tables"]
        png = base64.b64encode(_small(self.render("png", parts))).decode()
        listed = tables.html_table(self.tables)
        return (
            f'<div><img src="data:image/png;base64,{png}" alt="{escape(self.words)}" width="1000" '
            f'style="max-width: 100%; height: auto">{listed}</div>'
        )

    @property
    def parts(self) -> list[Part]:
        """What there is to see, from top to bottom."""
        return [part for part in PARTS if part != "chart" or self._history]

    def figure(self, parts: Collection[Part] | None = None) -> Figure:
        """The picture, or some parts of it, as a `matplotlib.figure.Figure`.

        Raises `ArgumentError` for a part that is not there.
        """
        from sp_widget.report.page import page

        for part in parts or ():
            if part not in self.parts:
                raise ArgumentError("parts", f"some of {', '.join(self.parts)}", part)
        target = "" if self._config is None else self._config.faithfulness_target
        validated = any(record.validation is not None for record in self._history)
        return page(
            self.parts if parts is None else parts,
            self.title,
            methods.of(self._config).series_for(validated),
            self._history,
            self._evaluations,
            target,
            self._data,
            self._circuit,
            self.tables,
            self._groups,
        )

    def render(
        self, kind: Literal["svg", "png", "pdf"], parts: Collection[Part] | None = None
    ) -> bytes:
        """Return the content of a file with the picture, or with some parts of it."""
        from sp_widget.report.drawing import DOTS_PER_INCH

        file = io.BytesIO()
        # Without a date the same run gives the same file.
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        metadata = {"Title": self.title, **undated}
        self.figure(parts).savefig(file, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        return file.getvalue()

    def save(self, path: str | Path) -> None:
        """Write a file; its ending decides: `.svg`, `.png`, `.pdf` or `.html`.

        Raises `ArgumentError` for another ending.
        """
        path = Path(path)
        match path.suffix.lower():
            case ".html":
                head = f"<meta charset='utf-8'><title>{escape(self.title)}</title>"
                text = f"<!DOCTYPE html><html lang='en'>{head}<body>{self.html}</body></html>"
                write_atomically(path, text.encode())
            case ".svg":
                write_atomically(path, self.render("svg"))
            case ".png":
                write_atomically(path, self.render("png"))
            case ".pdf":
                write_atomically(path, self.render("pdf"))
            case _:
                wanted = "a file name that ends in .svg, .png, .pdf or .html"
                raise ArgumentError("path", wanted, str(path))

    def __repr__(self) -> str:
        return f"Picture({self.words})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """HTML for notebooks, PNG for a PDF, words for a terminal."""
        png = base64.b64encode(_small(self.png)).decode()
        return {"text/plain": repr(self), "text/html": self.html, "image/png": png}


def _small(png: bytes) -> bytes:
    """The same picture with fewer shades: a third of the bytes, in every notebook that keeps it."""
    from PIL import Image

    file = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # Of Pillow's methods the one that keeps the colours of thin lines, but not white.
    picture = picture.quantize(SHADES, Image.Quantize.FASTOCTREE)
    shades = picture.getpalette() or []
    picture.putpalette([255 if shade >= NEARLY_WHITE else shade for shade in shades])
    picture.save(file, "png", optimize=True)
    return file.getvalue()


def snapshot(
    model: PatchableModel,
    prune_scores: Mapping[str, Tensor],
    *,
    history: Sequence[StepRecord] = (),
    evaluations: Sequence[HardEvaluation] = (),
    config: MethodConfig | None = None,
    official_edges: Collection[Edge] | None = None,
    seq_labels: Sequence[str] | None = None,
    n_edges: int | None = None,
    title: str = "Subnetwork probing",
    groups: Sequence[NodeGroup] = (),
) -> Picture:
    """A static picture of scores: the circuit, and with a `history` the chart of the training.

    Args:
        model: what `sp_widget.patchable_model` returns.
        prune_scores: the scores of its edges.
        history: the records of the training.
        evaluations: those of its hard circuit on the validation data, for the chart.
        config: its settings, to be listed.
        official_edges: the edges of a known circuit, to compare with.
        seq_labels: a label for each token position, for a model with `seq_len`.
        n_edges: the size of the circuit; by default that of the last hard circuit, or else of
            the known circuit, or else 50.
        title: what stands above it.
        groups: nodes to outline, each group with its name.

    Raises `ArgumentError` with the name of a bad argument.
    """
    if not isinstance(model, PatchableModel):
        raise ArgumentError("model", "what sp_widget.patchable_model returns", type(model))
    for name, given, kind in (
        ("history", history, StepRecord),
        ("evaluations", evaluations, HardEvaluation),
    ):
        good = isinstance(given, Sequence) and all(isinstance(each, kind) for each in given)
        if not good or isinstance(given, str | bytes):
            raise ArgumentError(name, f"a list of {kind.__name__}", given)
    if n_edges is not None:
        check_count(n_edges, model.n_edges)
    if not isinstance(title, str):
        raise ArgumentError("title", "a text", title)
    if config is not None and type(config) not in [methods.get(n).Config for n in methods.names()]:
        raise ArgumentError("config", "the config of a method or None", type(config))
    known = None
    if official_edges is not None:
        known = frozenset(find_edges(model, official_edges, "official_edges"))
    if n_edges is None:
        if history:
            n_edges = history[-1].hard_edge_count
        else:
            n_edges = min(DEFAULT_SIZE if known is None else len(known), model.n_edges)
    return Picture(
        model,
        prune_scores,
        history=history,
        evaluations=evaluations,
        config=config,
        official_edges=known,
        seq_labels=seq_labels,
        n_edges=n_edges,
        title=title,
        groups=groups,
    )

"""A training and its circuit as a picture, as a page to explore and as a figure for a paper.

None of them needs a kernel.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from html import escape
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from sp_widget import methods
from sp_widget.checked_files import file_path
from sp_widget.circuits.arguments import check_count, check_scores
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, require_patchable
from sp_widget.errors import ArgumentError, require_member
from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.files import write_atomically
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.base import MethodConfig
from sp_widget.methods.faithfulness_curve import sizes_of
from sp_widget.methods.mask_training import target_for
from sp_widget.methods.record import HardEvaluation, StepRecord
from sp_widget.methods.series import Series
from sp_widget.report import tables
from sp_widget.report.chart_data import chart_traits
from sp_widget.report.circuit_data import KNOWN, graph_data, known_circuit, score_traits
from sp_widget.report.curve_data import curve_traits, named_evaluations
from sp_widget.report.groups import NodeGroup, check_groups
from sp_widget.report.plain_text import plain
from sp_widget.report.recorded_prompts import PromptRecorder, RecordedPrompts
from sp_widget.report.top_circuit import DEFAULT_SIZE, top_circuit
from sp_widget.report.web_page import web_page
from sp_widget.types import AblationType, PatchType

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Part = Literal["title", "chart", "circuit", "tables"]

PARTS: tuple[Part, ...] = get_args(Part)
"""From top to bottom."""

FileKind = Literal["svg", "png", "pdf"]

FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)
"""Files that a picture can be drawn into."""

ONE_COLUMN = 85.0
"""Millimetres of a column of a paper with two of them, about."""

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
        faithfulness: Mapping[str, Evaluation],
        code: str,
        groups: Sequence[NodeGroup],
        switches: Sequence[str],
        recorder: PromptRecorder | None,
    ) -> None:
        self.title = plain(title)
        """What the picture is of."""
        self._history = list(history)
        self._evaluations = list(evaluations)
        self._config = config
        self._data = graph_data(model, official_edges, seq_labels)
        self._n_edges = n_edges
        self._switches = list(switches)
        self._circuit = top_circuit(
            model, prune_scores, n_edges, official_edges, self._data, self._switches
        )
        self._scores = score_traits(model, prune_scores, official_edges)
        self._faithfulness = faithfulness
        self._code = code
        self._recorder = recorder
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
        return f"{self.title}. {self._content}"

    @property
    def _content(self) -> str:
        """What it shows, without its title."""
        results = dict(self.tables["Result"])
        first = ", ".join(name for name, _ in self.tables["Strongest edges"][:5])
        what = "Chart of the training, and circuit" if self._history else "Circuit"
        return (
            f"{what} of {results['Edges in the picture']} of "
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
        return page(
            self.parts if parts is None else parts,
            self.title,
            self._series(),
            self._history,
            self._evaluations,
            target,
            self._data,
            self._circuit,
            self.tables,
            self._groups,
        )

    def render(self, kind: FileKind, parts: Collection[Part] | None = None) -> bytes:
        """Return the content of a file with the picture, or with some parts of it."""
        from sp_widget.report.drawing import DOTS_PER_INCH

        return self._file(self.figure(parts), kind, DOTS_PER_INCH)

    def paper_figure(self, width_mm: float = ONE_COLUMN) -> Figure:
        """Return the circuit alone as a `matplotlib.figure.Figure`, as wide as it is printed.

        Without the nodes that no edge of the circuit touches. Letters are about 7.5 points high
        whatever the width.

        Args:
            width_mm: millimetres; one column of a paper has about 85, two have about 175.

        Raises `ArgumentError` for a width in which the circuit has no room, with the one that it
        needs.
        """
        from sp_widget.report.paper import paper_figure

        if isinstance(width_mm, bool) or not isinstance(width_mm, Real) or not 0 < width_mm < 2000:
            raise ArgumentError("width_mm", "millimetres, more than 0", width_mm)
        return paper_figure(self._data, self._circuit, float(width_mm), self._groups)

    def web_page(self) -> bytes:
        """Return an HTML file in which circuit, chart and curve can be explored.

        All of it is in the file: it works from disk, offline, without a kernel. `save` writes it.
        Where there are prompts, the worst of them are run now, for seconds at most.
        """
        chart = chart_traits(self._series(), self._history, self._evaluations)
        curves = curve_traits(self._faithfulness)
        return web_page(
            self.title,
            self._content,
            circuit={
                "graph": self._data,
                "n_edges": self._n_edges,
                "switches": self._switches,
                "comparable": [KNOWN] if self._circuit.compared else [],
                "compare": KNOWN if self._circuit.compared else "",
                "groups": [group.data for group in self._groups],
                **self._scores,
            },
            chart=chart if self._history else None,
            faithfulness=curves if self._faithfulness else None,
            prompts=self._recorded_prompts(),
            tables=self.tables,
            code=self._code,
        )

    def save(self, path: str | Path, *, width_mm: float | None = None) -> None:
        """Write a file; its ending decides: `.svg`, `.png`, `.pdf` or `.html`.

        `.html` is a page to explore, see `web_page`. With `width_mm` it is the figure for a paper,
        see `paper_figure`: the circuit alone, so many millimetres wide.

        Raises `ArgumentError` for another ending, and for an ending alone.
        """
        html = [".html"] if width_mm is None else []
        found, ending = file_path(path, [*(f".{kind}" for kind in FILE_KINDS), *html])
        kind = next((each for each in FILE_KINDS if ending == f".{each}"), None)
        if kind is None:
            content = self.web_page()
        else:
            content = self.render(kind) if width_mm is None else self._printed(kind, width_mm)
        write_atomically(found, content)

    def _recorded_prompts(self) -> RecordedPrompts | None:
        """Return what circuits predict on single prompts; `None`: there are none to ask about."""
        if self._recorder is None:
            return None
        # As the page ranks the edges.
        scores = torch.frombuffer(bytearray(self._scores["scores"]), dtype=torch.float32)
        first = next(iter(self._faithfulness.values()), None)
        sizes = (
            sizes_of(len(scores))
            if first is None
            else [size for size, _ in first.curve(first.metrics[0])]
        )
        if self._history:
            sizes.append(self._history[-1].hard_edge_count)
        edited = torch.zeros(len(scores), dtype=torch.bool)
        edited[[each.place for each in self._circuit.edges if each.verdict != "miss"]] = True
        return self._recorder.record(scores.abs(), self._n_edges, sizes, edited, self._switches)

    def _series(self) -> Sequence[Series]:
        validated = any(record.validation is not None for record in self._history)
        return methods.of(self._config).series_for(validated)

    def _printed(self, kind: FileKind, width_mm: float) -> bytes:
        from sp_widget.report.paper import DOTS_PER_INCH

        return self._file(self.paper_figure(width_mm), kind, DOTS_PER_INCH)

    def _file(self, figure: Figure, kind: FileKind, dots_per_inch: int) -> bytes:
        from matplotlib import rc_context

        file = io.BytesIO()
        # Without a date the same run gives the same file.
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        metadata = {"Title": self.title, **undated}
        # Letters are outlines in SVG; in PDF they are TrueType, which journals take.
        with rc_context({"svg.fonttype": "path", "pdf.fonttype": 42}):
            figure.savefig(file, format=kind, dpi=dots_per_inch, metadata=metadata)
        return file.getvalue()

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
    official_edges: Collection[Edge | str] | None = None,
    seq_labels: Sequence[str] | None = None,
    n_edges: int | None = None,
    title: str = "Subnetwork probing",
    faithfulness: Evaluation | Mapping[str, Evaluation] | None = None,
    code: str = "",
    groups: Sequence[NodeGroup] = (),
    switches: Sequence[str] = (),
    prompts: PromptDataLoader | None = None,
    patch_type: PatchType = PatchType.TREE_PATCH,
    ablation_type: AblationType = AblationType.RESAMPLE,
) -> Picture:
    """A picture of scores: the circuit, and with a `history` the chart of the training.

    Args:
        model: what `sp_widget.patchable_model` returns.
        prune_scores: the scores of its edges.
        history: the records of the training.
        evaluations: those of its hard circuit on the validation data, for the chart.
        config: its settings, to be listed.
        official_edges: the edges of a known circuit, or their names, to compare with.
        seq_labels: a label for each token position, for a model with `seq_len`.
        n_edges: the size of the circuit; by default that of the last hard circuit, or else of
            the known circuit, or else 50.
        title: what stands above it.
        faithfulness: what `sp.evaluate` returned, one or several by name, for the page to explore.
        code: Python that repeats the run, likewise.
        groups: nodes to outline, each group with its name.
        switches: nodes and edges that are switched by hand, as in `CircuitView.switches`.
        prompts: of which the page to explore shows what comes next: the eight on which the circuit
            loses most, of the first 32. Left out where answers are values.
        patch_type: how circuits are run on them, as in `sp.predictions`.
        ablation_type: what an edge outside a circuit carries there.

    Raises `ArgumentError` with the name of a bad argument.
    """
    require_patchable(model)
    for name, given, kind in (
        ("history", history, StepRecord),
        ("evaluations", evaluations, HardEvaluation),
    ):
        good = isinstance(given, Sequence) and all(isinstance(each, kind) for each in given)
        if not good or isinstance(given, str | bytes):
            raise ArgumentError(name, f"a list of {kind.__name__}", given)
    check_scores(prune_scores, model.graph)
    if n_edges is not None:
        check_count(n_edges, model.n_edges)
    for name, text in (("title", title), ("code", code)):
        if not isinstance(text, str):
            raise ArgumentError(name, "a text", text)
    curves = named_evaluations(faithfulness, "faithfulness")
    if any(each.n_edges != model.n_edges for each in curves.values()):
        raise ArgumentError("faithfulness", "evaluations of this model", faithfulness)
    if config is not None and type(config) not in [methods.get(n).Config for n in methods.names()]:
        raise ArgumentError("config", "the config of a method or None", type(config))
    known = known_circuit(model, official_edges)
    if not isinstance(switches, Sequence) or isinstance(switches, str | bytes):
        raise ArgumentError("switches", "a list of switches", switches)
    require_member("patch_type", patch_type, PatchType)
    require_member("ablation_type", ablation_type, AblationType)
    recorder = None
    if prompts is not None:
        if not isinstance(prompts, PromptDataLoader) or len(prompts) == 0:
            raise ArgumentError("prompts", "a PromptDataLoader with a batch, or None", prompts)
        # Values are no tokens of which one comes next.
        if target_for(prompts) != "mse":
            recorder = PromptRecorder(model, prompts, patch_type, ablation_type)
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
        faithfulness=curves,
        code=code,
        groups=groups,
        switches=switches,
        recorder=recorder,
    )

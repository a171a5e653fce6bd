"""The static picture of a training: what it shows, and the files that it makes."""

from __future__ import annotations

import base64
import io
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from matplotlib import style
from PIL import Image

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.record import HardEvaluation
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from sp_widget.report.picture import Picture, snapshot
from tests.model_kinds import bridge, dataloader

CONFIG = SubnetworkProbingConfig(epochs=2, seed=7, learning_rate=0.25)


class Reader(HTMLParser):
    """Collects the tags, the attributes and the table cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"))


@pytest.fixture(scope="module")
def trainer(model: PatchableModel) -> SubnetworkProbing:
    trainer = SubnetworkProbing(model, dataloader(), CONFIG)
    trainer.run(progress=False)
    return trainer


@pytest.fixture(scope="module")
def picture(model: PatchableModel, trainer: SubnetworkProbing) -> Picture:
    return snapshot(model, trainer.prune_scores, history=trainer.history, config=CONFIG, n_edges=20)


def ranked(model: PatchableModel) -> PruneScores:
    """Scores by which the last edge in flat order is the most important."""
    flat = torch.arange(1, model.n_edges + 1).float()
    return PruneScores(model.graph.split(flat), model.graph)


def path_to_the_end(model: PatchableModel) -> list[Edge]:
    """Input to the queries of a head of the first block, and from that head to the output."""
    start, head = model.srcs[0], next(src for src in model.srcs if src.name == "A0.1")
    query = next(dest for dest in model.dests if dest.name == "A0.1.Q")
    return [Edge(start, query), Edge(head, model.dests[-1])]


def scores_of(model: PatchableModel, *edges: Edge) -> PruneScores:
    """Scores by which these edges are the most important, the first most of all."""
    flat = torch.zeros(model.n_edges)
    flat[model.graph.flat_index(edges)] = torch.arange(len(edges), 0, -1).float()
    return PruneScores(model.graph.split(flat), model.graph)


def test_html_is_a_picture_with_words_and_tables_without_script(picture: Picture) -> None:
    page = read(picture.html)
    assert set(page.tags) == {"div", "img", "table", "caption", "tbody", "tr", "th", "td"}
    (image,) = page.images
    assert image["alt"] == picture.words
    kind, data = (image["src"] or "").split(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).width == 1500


def test_a_notebook_keeps_it_for_every_reader(picture: Picture) -> None:
    """HTML for sites and notebooks, PNG for a PDF by LaTeX, words for a terminal."""
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/plain", "text/html", "image/png"]
    assert bundle["text/plain"].startswith("Picture(Subnetwork probing.")
    assert len(bundle["image/png"]) < 200_000


def test_the_chart_has_a_marker_for_each_evaluation_of_the_hard_circuit(
    model: PatchableModel, trainer: SubnetworkProbing
) -> None:
    evaluations = [
        HardEvaluation(step=step, edges=20, faithfulness=value, regularizer=0.5)
        for step, value in ((1, 0.25), (2, math.inf), (3, 0.125))
    ]
    figure = snapshot(
        model, trainer.prune_scores, history=trainer.history, evaluations=evaluations
    ).figure(["chart"])
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    measured = lines["Hard circuit, validation data"]
    assert [list(values) for values in measured.get_data()] == [[1, 3], [0.25, 0.125]]
    assert measured.get_marker() == "D"
    assert lines["Loss"].get_marker() == "None"


def test_the_tables_say_what_was_asked_and_what_came_out(
    picture: Picture, trainer: SubnetworkProbing, model: PatchableModel
) -> None:
    settings, result = dict(picture.tables["Settings"]), dict(picture.tables["Result"])
    assert (settings["Learning rate"], settings["Epochs"], settings["Seed"]) == ("0.25", "2", "7")
    assert result["Steps"] == str(len(trainer.history))
    assert result["Loss"] == f"{trainer.history[-1].loss:.4g}"
    assert result["Edges of the model"] == str(len(model.edges))
    assert set(result.values()) <= set(read(picture.html).cells)


def test_the_strongest_edges_come_first(model: PatchableModel) -> None:
    edges = path_to_the_end(model)
    listed = snapshot(model, scores_of(model, *edges), n_edges=2).tables["Strongest edges"]
    assert listed == [("Resid Start->A0.1.Q", "2.000"), ("A0.1->Resid End", "1.000")]


def test_edges_on_a_path_are_counted(model: PatchableModel) -> None:
    to_query, to_end = path_to_the_end(model)
    other = Edge(next(src for src in model.srcs if src.name == "A0.2"), model.dests[-1])
    result = dict(
        snapshot(model, scores_of(model, to_query, to_end, other), n_edges=3).tables["Result"]
    )
    assert (result["Edges in the picture"], result["of these on a path"]) == ("3", "2")


def test_hits_misses_and_extras_are_told_apart(model: PatchableModel) -> None:
    to_query, to_end = path_to_the_end(model)
    known = [to_query, Edge(model.srcs[0], model.dests[-1])]
    picture = snapshot(model, scores_of(model, to_query, to_end), official_edges=known)
    legend = [
        text.get_text() for text in picture.figure(["circuit"]).axes[0].get_legend().get_texts()
    ]
    assert legend == [
        "Hits: known and in the circuit (1)",
        "Misses: known, not in the circuit (1)",
        "Extras: in the circuit, not known (1)",
    ]
    assert dict(picture.tables["Result"])["Known edges found"] == "1 of 2"


def test_layers_stand_from_bottom_to_top(model: PatchableModel) -> None:
    axes = snapshot(model, ranked(model), n_edges=model.n_edges).figure(["circuit"]).axes[1]
    height = {
        text.get_text(): axes.transData.transform(text.get_position())[1] for text in axes.texts
    }
    order = ["Resid Start (embedding)", "A0.0", "A1.0", "Resid End (logits)"]
    assert sorted(order, key=height.__getitem__) == order
    row = [height[f"A1.{head}"] for head in range(4)]
    assert len(set(row)) == 1


def test_every_token_position_has_a_column_with_its_label() -> None:
    model = patchable_model(bridge("native-attention-only"), seq_len=3)
    picture = snapshot(model, ranked(model), seq_labels=["a", "b", "c"], n_edges=30)
    axes = picture.figure(["circuit"]).axes[1]
    places = {t.get_text(): t.get_position()[0] for t in axes.texts if t.get_text() in "abc"}
    assert sorted("abc", key=places.__getitem__) == list("abc")
    assert sum(text.get_text() == "A0.0" for text in axes.texts) == 3


@pytest.mark.parametrize(
    ("kind", "box"),
    [("neox-parallel", "MLP 1"), ("native-gqa-rotary", "KV 0"), ("gemma2", "A1 (all heads)")],
)
def test_models_of_other_shapes_have_their_own_boxes(kind: str, box: str) -> None:
    model = patchable_model(bridge(kind))
    axes = snapshot(model, ranked(model), n_edges=40).figure(["circuit"]).axes[1]
    height = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert box in height
    beside = height["MLP 1"] == height["A1.0"]
    assert beside == (kind == "neox-parallel"), "an MLP stands beside the heads that it runs with"


def test_the_chart_is_there_only_with_a_history(model: PatchableModel, picture: Picture) -> None:
    assert picture.parts == ["title", "chart", "circuit", "tables"]
    without = snapshot(model, ranked(model))
    assert without.parts == ["title", "circuit", "tables"]
    with pytest.raises(ArgumentError, match="parts: wanted some of title, circuit, tables"):
        without.figure(["chart"])


def test_the_chart_draws_the_loss_of_every_step(
    picture: Picture, trainer: SubnetworkProbing
) -> None:
    axes = picture.figure(["chart"]).axes
    lines = {line.get_label(): line for each in axes for line in each.get_lines()}
    assert list(lines["Loss"].get_xdata()) == [record.step for record in trainer.history]
    assert list(lines["Loss"].get_ydata()) == [record.loss for record in trainer.history]


def test_the_size_is_that_of_the_hard_circuit_or_else_of_the_known_one(
    model: PatchableModel, trainer: SubnetworkProbing
) -> None:
    def size(picture: Picture) -> str:
        return dict(picture.tables["Result"])["Edges in the picture"]

    last = trainer.history[-1].hard_edge_count
    assert size(snapshot(model, ranked(model), history=trainer.history)) == str(last)
    known = path_to_the_end(model)
    assert size(snapshot(model, ranked(model), official_edges=known)) == "2"
    assert size(snapshot(model, ranked(model))) == "50"


@pytest.mark.parametrize(
    ("suffix", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("html", b"<!DOCTYPE html>")]
)
def test_files_are_what_their_names_say(
    picture: Picture, tmp_path: Path, suffix: str, begin: bytes
) -> None:
    picture.save(tmp_path / f"run.{suffix}")
    assert (tmp_path / f"run.{suffix}").read_bytes().startswith(begin)


def test_svg_is_complete_and_has_no_script(picture: Picture, tmp_path: Path) -> None:
    picture.save(tmp_path / "run.svg")
    root = ET.parse(tmp_path / "run.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    names = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert not names & {"script", "image", "foreignObject"}
    assert not re.search(
        r"https?://(?!www\.w3\.org|purl\.org|creativecommons|matplotlib)", picture.svg
    )


def test_a_file_of_an_unknown_kind_is_refused_by_name(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"path: wanted a file name that ends in \.svg"):
        picture.save(tmp_path / "run.jpeg")


def test_a_persons_style_for_figures_does_not_reach_it(picture: Picture) -> None:
    """A dark style would give white letters on a white ground, in the reader's notebook."""
    plain = picture.render("png", ["chart", "circuit"])
    with style.context("dark_background"):
        assert picture.render("png", ["chart", "circuit"]) == plain


def test_scores_of_another_model_are_refused(model: PatchableModel) -> None:
    other = patchable_model(bridge("native-attention-only"), seq_len=3)
    with pytest.raises(ArgumentError, match="scores: wanted"):
        snapshot(model, ranked(other))


def test_an_impossible_size_is_refused(model: PatchableModel) -> None:
    with pytest.raises(ArgumentError, match="n_edges: wanted a whole number from 0 to"):
        snapshot(model, ranked(model), n_edges=model.n_edges + 1)

"""The figure for a paper: as wide as it is printed, for every reader's eyes."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.report.draw_circuit import VERDICT_COLOURS, VERDICT_DASHES, weight_of
from sp_widget.report.drawing import GROUND
from sp_widget.report.picture import snapshot
from sp_widget.report.top_circuit import Verdict
from tests.model_kinds import bridge
from tests.report.colour_vision import EYES, contrast, difference, lightness

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"))


def alternating(model: PatchableModel) -> PruneScores:
    """Scores of which every other one is negative."""
    flat = torch.arange(1, model.n_edges + 1) * (-1.0) ** torch.arange(model.n_edges)
    return PruneScores(model.graph.split(flat), model.graph)


def test_a_file_is_as_wide_as_was_asked(model: PatchableModel, tmp_path: Path) -> None:
    for width_mm in (85, 175):
        picture = snapshot(model, alternating(model), n_edges=12)
        for kind in ("svg", "pdf", "png"):
            picture.save(tmp_path / f"figure.{kind}", width_mm=width_mm)
        svg = ET.parse(tmp_path / "figure.svg").getroot()
        assert float(svg.attrib["width"].removesuffix("pt")) / 72 * 25.4 == pytest.approx(width_mm)
        pdf = (tmp_path / "figure.pdf").read_bytes()
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)
        assert float(box) / 72 * 25.4 == pytest.approx(width_mm)
        with Image.open(tmp_path / "figure.png") as image:
            assert image.width == pytest.approx(width_mm / 25.4 * 600, abs=1)


def test_letters_travel_in_the_file(model: PatchableModel, tmp_path: Path) -> None:
    picture = snapshot(model, alternating(model), n_edges=12)
    picture.save(tmp_path / "figure.svg", width_mm=85)
    picture.save(tmp_path / "figure.pdf", width_mm=85)
    assert "<text" not in (tmp_path / "figure.svg").read_text()
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_it_has_the_nodes_of_the_circuit_and_words_of_a_printed_size(
    model: PatchableModel,
) -> None:
    scores = alternating(model)
    figure = snapshot(model, scores, n_edges=3).paper_figure(85)
    written = [text for axes in figure.axes for text in axes.texts]
    names = {text.get_text() for text in written}
    ends = [edge.src.name for edge, _ in scores.top(3)]
    assert all(name.split(".")[0] in " ".join(names) for name in ends)
    assert len([name for name in names if re.fullmatch(r"A\d\.\d", name)]) <= 6
    assert min(text.get_fontsize() for text in written) >= 5
    legend = figure.axes[0].get_legend().get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_a_width_without_room_is_refused_with_the_one_that_is_needed(
    model: PatchableModel,
) -> None:
    picture = snapshot(model, alternating(model), n_edges=model.n_edges)
    with pytest.raises(ArgumentError, match=r"width_mm: wanted at least \d+ for the nodes") as told:
        picture.paper_figure(20)
    (needed,) = re.findall(r"at least (\d+)", str(told.value))
    assert picture.paper_figure(int(needed))
    for width_mm in (0, -1, True, float("nan"), "85"):
        with pytest.raises(ArgumentError, match="width_mm: wanted millimetres, more than 0"):
            picture.paper_figure(width_mm)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"ends in \.svg, \.png or \.pdf, got"):
        picture.save("figure.html", width_mm=85)


@pytest.mark.parametrize("eyes", EYES)
def test_colours_that_mean_something_differ_for_all_eyes(eyes: str) -> None:
    for one, other in itertools.combinations(VERDICTS, 2):
        assert difference(VERDICT_COLOURS[one], VERDICT_COLOURS[other], eyes) > 25
    for share in (0.0, 0.5, 1.0):
        ramp = (0.0, 1.0)
        (positive, _), (negative, _) = weight_of(share, ramp), weight_of(-share or -1e-9, ramp)
        assert difference(positive, negative, eyes) > 20


def test_colours_that_mean_something_differ_in_grey_and_from_the_ground() -> None:
    for one, other in itertools.combinations(VERDICTS, 2):
        gap = abs(lightness(VERDICT_COLOURS[one]) - lightness(VERDICT_COLOURS[other]))
        assert gap > 15, (one, other)
    for verdict in VERDICTS:
        assert contrast(VERDICT_COLOURS[verdict], GROUND) >= 3


def test_nothing_is_said_by_colour_alone(model: PatchableModel) -> None:
    assert len(set(VERDICT_DASHES.values())) == len(VERDICTS)
    scores = alternating(model)
    figure = snapshot(model, scores, n_edges=model.n_edges).paper_figure(175)
    rings = [line for line in figure.axes[1].get_lines() if line.get_marker() == "o"]
    # With all edges all of them carry something.
    assert len(rings) == sum(score < 0 for _, score in scores.top(model.n_edges))
    samples = {
        line.get_label(): line.get_marker() for line in figure.axes[0].get_legend().legend_handles
    }
    assert {label.split()[0] for label, marker in samples.items() if marker == "o"} == {"Negative"}

"""The export group, the widget's snapshot, and the picture that a notebook keeps."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from safetensors.torch import load

from sp_widget.errors import StateError
from sp_widget.report.drawing import DOTS_PER_INCH
from sp_widget.report.picture import Part
from sp_widget.widget.export_formats import FORMATS
from sp_widget.widget.widget import SubnetworkProbingWidget

BEGINNINGS = {
    "image/svg+xml": b"<?xml",
    "image/png": b"\x89PNG",
    "application/pdf": b"%PDF",
    "text/html": b"<!DOCTYPE html>",
    "text/csv": b"step,epoch,loss",
    "application/vnd.apache.parquet": b"PAR1",
    "application/json": b"{",
}


@pytest.fixture
def ended(probe: SubnetworkProbingWidget) -> SubnetworkProbingWidget:
    probe.start()
    probe.wait(60)
    return probe


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], bytes]]:
    """What comes back when a view of a widget asks for a file."""

    def asked(probe: SubnetworkProbingWidget, name: str) -> tuple[dict[str, Any], bytes]:
        sent: list[tuple[dict[str, Any], list[bytes]]] = []
        monkeypatch.setattr(
            probe.export, "send", lambda content, buffers=(): sent.append((content, list(buffers)))
        )
        content = {"type": "export", "format": name, "request": "view-7"}
        data = {"method": "custom", "content": content}
        probe.export._handle_msg({"content": {"data": data}, "buffers": []})
        ((answer, buffers),) = sent
        assert answer["request"] == "view-7", "only the view that asked saves the file"
        return answer, b"".join(buffers)

    return asked


@pytest.mark.parametrize("name", [each.name for each in FORMATS])
def test_every_file_on_offer_is_made(
    ended: SubnetworkProbingWidget, ask: Callable[..., Any], name: str
) -> None:
    answer, data = ask(ended, name)
    assert answer["type"] == "file", answer
    assert answer["name"].rsplit(".", 1)[1] in name
    assert data.startswith(BEGINNINGS.get(answer["mime"], b""))


@pytest.mark.parametrize("part", ["chart", "circuit"])
def test_a_part_is_exported_on_its_own(
    ended: SubnetworkProbingWidget, ask: Callable[..., Any], part: Part
) -> None:
    """Told by its size: chart and circuit have different ones."""
    inches = ended.snapshot().figure([part]).get_size_inches()
    assert tuple(inches) != tuple(ended.snapshot().figure().get_size_inches())
    picture = Image.open(io.BytesIO(ask(ended, f"{part}_png")[1]))
    assert picture.size == pytest.approx([DOTS_PER_INCH * each for each in inches], abs=1)
    root = ElementTree.fromstring(ask(ended, f"{part}_svg")[1])
    points = [float(each) for each in root.attrib["viewBox"].split()[2:]]
    assert points == pytest.approx([72 * each for each in inches], rel=1e-3)


def test_the_scores_in_the_file_are_those_of_the_run(
    ended: SubnetworkProbingWidget, ask: Callable[..., Any]
) -> None:
    scores = ended.prune_scores
    tensors = load(ask(ended, "scores_safetensors")[1])
    assert all(torch.equal(tensors[name], score) for name, score in scores.items())
    listed = json.loads(ask(ended, "scores_json")[1])["scores"]
    assert all(listed[name] == score.tolist() for name, score in scores.items())


def test_the_history_in_the_file_is_that_of_the_run(
    ended: SubnetworkProbingWidget, ask: Callable[..., Any]
) -> None:
    losses = [record.loss for record in ended.history]
    rows = csv.DictReader(io.StringIO(ask(ended, "history_csv")[1].decode()))
    assert [float(row["loss"]) for row in rows] == losses
    assert ended.history_frame()["loss"].tolist() == losses


@pytest.mark.parametrize("name", ["snapshot_svg", "history_csv", "scores_json"])
def test_before_the_start_it_says_that_there_is_nothing(
    probe: SubnetworkProbingWidget, ask: Callable[..., Any], name: str
) -> None:
    answer, data = ask(probe, name)
    assert (answer["type"], answer["text"], data) == (
        "problem",
        "There is nothing to export yet.",
        b"",
    )


def test_an_unknown_file_is_no_answer(
    probe: SubnetworkProbingWidget, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"type": "export", "format": "exe", "request": "1"}
    probe.export._handle_msg(
        {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    )
    assert "a message that it does not know" in caplog.text


def test_a_snapshot_shows_the_run_and_the_circuit_in_view(ended: SubnetworkProbingWidget) -> None:
    result = dict(ended.snapshot().tables["Result"])
    assert result["Steps"] == str(len(ended.history))
    assert result["Edges in the picture"] == str(ended.history[-1].hard_edge_count)
    ended.circuit.n_edges = 7
    assert dict(ended.snapshot().tables["Result"])["Edges in the picture"] == "7"
    assert dict(ended.snapshot(3).tables["Result"])["Edges in the picture"] == "3"


def test_there_is_no_snapshot_before_the_start(probe: SubnetworkProbingWidget) -> None:
    with pytest.raises(StateError, match="nothing was started"):
        probe.snapshot()

"""Text of data, names and labels is shown as text: no formula, no markup, no end of a file."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
import torch

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.report.picture import Part, snapshot
from tests.model_kinds import bridge
from tests.report.test_picture import read

TEXTS = (
    "$\\frac{",
    "$x_",
    "\\$ \\alpha ${}$ ^_",
    "a" * 30_000,
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]></svg><!--",
    "a\0b\x1b[31m\n\t\u2028",
    "\ud800 half",
    "&amp;&#60;%s{0}",
    "",
)


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"), seq_len=len(TEXTS))


def test_no_title_and_no_label_makes_a_picture_fail_or_is_more_than_text(
    model: PatchableModel,
) -> None:
    flat = torch.arange(1, model.n_edges + 1).float()
    scores = PruneScores(model.graph.split(flat), model.graph)
    for title in TEXTS:
        picture = snapshot(model, scores, seq_labels=TEXTS, n_edges=3, title=title)
        assert len(picture.title) <= 200
        parts: list[Part] = ["title", "circuit"] if title == TEXTS[0] else ["title"]
        root = ET.fromstring(picture.render("svg", parts))
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not kinds & {"script", "foreignObject", "image", "a"}
        picture.render("png", ["title"])
        picture.render("pdf", ["title"])
    picture = snapshot(model, scores, seq_labels=TEXTS, n_edges=3, title=TEXTS[4])
    page = read(picture.html)
    assert "script" not in page.tags
    assert page.images[0]["alt"].startswith(TEXTS[4])

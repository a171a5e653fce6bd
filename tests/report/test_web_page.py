"""The page to explore: all in one file, nothing but text from data, and small."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from sp_widget.circuits.scores import PruneScores
from sp_widget.engine.patchable_model import PatchableModel, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.evaluation.evaluate import evaluate
from sp_widget.methods.record import StepRecord
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.report.picture import Picture, snapshot
from tests.model_kinds import bridge, dataloader

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>&lt;</style>",
    "\ud800 half",
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes and the text within them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []

        self._within: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = None

    def handle_data(self, data: str) -> None:
        if self._within is not None:
            self.found[-1][2].append(data)

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.found if name == tag]


def elements(page: bytes) -> Elements:
    parser = Elements()
    parser.feed(page.decode())
    return parser


def record(step: int) -> StepRecord:
    return StepRecord(
        step=step,
        epoch=0,
        loss=1 / step,
        hard_edge_count=100,
        seconds=0.1,
        terms={"faithfulness": 1 / step, "penalty": 0.0},
    )


@pytest.fixture(scope="module")
def model() -> PatchableModel:
    return patchable_model(bridge("native-attention-only"), seq_len=len(HOSTILE))


def ranked(model: PatchableModel) -> PruneScores:
    flat = torch.arange(1, model.n_edges + 1).float()
    return PruneScores(model.graph.split(flat), model.graph)


def hostile_page(model: PatchableModel) -> Picture:
    return snapshot(
        model, ranked(model), seq_labels=HOSTILE, title=HOSTILE[0], code=HOSTILE[0] + HOSTILE[3]
    )


def test_text_of_data_is_text_and_the_policy_allows_the_one_script(model: PatchableModel) -> None:
    page = elements(hostile_page(model).web_page())
    assert not page.of("img")
    (data, script), (style,) = page.of("script"), page.of("style")
    assert data[0] == {"type": "application/json", "id": "sp-data"}
    assert json.loads(data[1])["circuit"]["graph"]["positions"][:3] == list(HOSTILE[:3])
    assert page.of("h1")[0][1] == page.of("title")[0][1] == HOSTILE[0]
    assert page.of("pre")[0][1] == HOSTILE[0] + "? half"

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    (policy,) = [attrs for attrs, _ in page.of("meta") if "http-equiv" in attrs]
    rules = dict(rule.split(" ", 1) for rule in (policy["content"] or "").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == hashed(script[1])
    assert rules["style-src"] == hashed(style[1])


def test_the_file_needs_nothing_but_itself(model: PatchableModel) -> None:
    page = hostile_page(model).web_page()
    urls = set(re.findall(rb"(?:https?:)?//[\w.-]+\.[a-z]{2,}[\w./-]*", page))
    assert urls <= {b"http://www.w3.org/2000/svg"}
    assert str(Path.home()).encode() not in page
    assert str(Path(__file__).parents[2]).encode() not in page


def test_scores_points_and_curves_are_those_of_the_run() -> None:
    model = patchable_model(bridge("native-attention-only"))
    scores = ranked(model)
    history = [record(step) for step in range(1, 21)]
    measured = evaluate(model, dataloader(), scores, sizes=[1, 50], random=0, progress=False)
    picture = snapshot(
        model,
        scores,
        history=history,
        config=SubnetworkProbingConfig(),
        faithfulness=measured,
        n_edges=7,
    )
    page = elements(picture.web_page())
    data = json.loads(page.of("script")[0][1])

    def floats(packed: dict[str, str]) -> list[float]:
        return np.frombuffer(base64.b64decode(packed["base64"]), "<f4").tolist()

    assert floats(data["circuit"]["scores"]) == model.graph.flatten(dict(scores)).tolist()
    assert data["circuit"]["n_edges"] == 7
    points = floats(data["chart"]["live"][0]["points"])
    steps = range(1, 21)
    assert points == np.float32([*steps, *(1 / step for step in steps)]).tolist()
    (curve,) = data["faithfulness"]["curves"]
    assert [tuple(point) for point in curve["circuit"]] == [
        point for point in measured.curve("kl_div") if point[0] > 0
    ]
    assert {text for _, text in page.of("td")} >= set(dict(picture.tables["Settings"]).values())


def test_gpt2_with_a_long_training_has_room_in_four_megabytes() -> None:
    settings = {
        "n_layers": 12,
        "n_heads": 12,
        "d_model": 24,
        "d_head": 2,
        "d_mlp": 8,
        "n_ctx": 8,
        "d_vocab": 10,
        "act_fn": "gelu",
        "normalization_type": "LN",
    }
    gpt2_shape = TransformerBridge.boot_native(TransformerBridgeConfig(**settings))
    model = patchable_model(gpt2_shape)
    assert model.n_edges == 32_491
    history = [record(step) for step in range(1, 10_001)]
    page = snapshot(model, ranked(model), history=history).web_page()
    assert len(page) < 1_000_000, "four times less than was promised"


def test_what_no_page_can_show_is_refused(model: PatchableModel) -> None:
    other = patchable_model(bridge("native-attention-only"))
    measured = evaluate(other, dataloader(), ranked(other), sizes=[1], random=0, progress=False)
    with pytest.raises(ArgumentError, match="faithfulness: wanted evaluations of this model"):
        snapshot(model, ranked(model), faithfulness=measured)
    with pytest.raises(ArgumentError, match="code: wanted a text"):
        snapshot(model, ranked(model), code=None)  # type: ignore[arg-type]

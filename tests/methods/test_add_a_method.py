"""A method is one short file: panel, chart, code, checkpoint and run follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import sp_widget as sp
from sp_widget.circuits.ablations import src_ablations
from sp_widget.circuits.metrics import kl_div
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel, patch_mode, patchable_model
from sp_widget.errors import ArgumentError
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests import model_kinds
from tests.methods import toy_method
from tests.session.watching import PATIENCE
from tests.widget.browser_messages import edit
from tests.widget.drawn import live_lines

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sp.methods, "_ADDED", {})
    sp.methods.register(toy_method.METHOD)


@pytest.fixture
def model() -> PatchableModel:
    return patchable_model(model_kinds.bridge("native-attention-only"))


@pytest.fixture
def prompts() -> PromptDataLoader:
    return model_kinds.dataloader()


@pytest.fixture
def probe(model: PatchableModel, prompts: PromptDataLoader) -> Iterator[SubnetworkProbingWidget]:
    probe = SubnetworkProbingWidget(model, prompts)
    yield probe
    probe.close()


def choose_method(probe: SubnetworkProbingWidget, name: str) -> None:
    """What the panel sends."""
    probe.panel._handle_message(None, {"type": "method", "method": name}, [])


def test_it_is_one_file_of_at_most_40_lines() -> None:
    assert len(Path(toy_method.__file__).read_text(encoding="utf-8").splitlines()) <= 40


def test_the_documentation_walks_through_exactly_that_file() -> None:
    page = (DOCS / "add_a_method.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))

    def lines(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.strip()]

    assert lines(code) == lines(Path(toy_method.__file__).read_text(encoding="utf-8"))


def test_its_scores_are_what_it_says(model: PatchableModel, prompts: PromptDataLoader) -> None:
    """Edge 2 alone ablated, by way of `patch_mode`, prompt for prompt."""
    scores = sp.methods.get("toy").trainer(model, prompts).run(progress=False)
    total, n_prompts = 0.0, 0
    for batch in prompts:
        with torch.no_grad():
            clean = model(batch.clean)[:, -1]
            for mask in model.patch_masks.values():
                mask.zero_()
            flat = torch.zeros(model.n_edges)
            flat[2] = 1
            for name, values in model.graph.split(flat).items():
                model.patch_masks[name].copy_(values)
            with patch_mode(model, src_ablations(model, batch.corrupt)):
                ablated = model(batch.clean)[:, -1]
        total += len(batch.clean) * kl_div(ablated, clean, batch).item()
        n_prompts += len(batch.clean)
    assert model.graph.flatten(dict(scores))[2].item() == pytest.approx(total / n_prompts, abs=1e-6)


def test_the_panel_has_its_fields_and_the_chart_its_lines(probe: SubnetworkProbingWidget) -> None:
    offered = {each["value"]: each["summary"] for each in probe.panel.methods}
    assert offered["toy"] == "An edge matters as much as it costs to ablate it alone."
    choose_method(probe, "toy")
    assert probe.panel.method == "toy"
    assert "edges" in {field["name"] for field in probe.panel.fields}
    assert "learning_rate" not in {field["name"] for field in probe.panel.fields}
    assert probe.panel.presets == []
    edit(probe, edges="1001")
    assert "at most 1000" in probe.panel.problems["edges"]
    edit(probe, edges="7")
    assert probe.config == toy_method.ToyConfig(edges=7)

    probe.start()
    probe.wait(PATIENCE)
    assert probe.panel.status["n_steps"] == 7
    drawn = live_lines(probe.chart)
    assert list(drawn) == ["Dearest edge", "Edges in the circuit"]
    assert drawn["Dearest edge"][0] == list(range(1, 8))
    costs = [record.loss for record in probe.history]
    assert drawn["Dearest edge"][1] == pytest.approx(
        [max(costs[: n + 1]) for n in range(7)], rel=1e-6
    )


def test_its_code_repeats_the_run_bit_by_bit(
    probe: SubnetworkProbingWidget, model: PatchableModel, prompts: PromptDataLoader
) -> None:
    choose_method(probe, "toy")
    edit(probe, edges="3", ablation_type="ZERO")
    probe.start()
    probe.wait(PATIENCE)
    code = probe.as_code()
    assert "sp.methods.get('toy')" in code
    names: dict[str, Any] = {"model": model, "dataloader": prompts}
    exec(compile(code, "<code of the run>", "exec"), names)
    for name, scores in probe.prune_scores.items():
        assert torch.equal(names["prune_scores"][name], scores)


def test_it_goes_on_from_a_checkpoint(model: PatchableModel, prompts: PromptDataLoader) -> None:
    method = sp.methods.get("toy")
    whole, other = (method.trainer(model, prompts, method.Config(edges=6)) for _ in range(2))
    whole.run(progress=False, until_step=2)
    other.load_state_dict(whole.state_dict())
    for trainer in (whole, other):
        trainer.run(progress=False)
    assert [record.step for record in other.history] == [1, 2, 3, 4, 5, 6]
    for name, scores in whole.prune_scores.items():
        assert torch.equal(other.prune_scores[name], scores)


def test_it_may_be_registered_again_but_not_in_place_of_one_of_ours() -> None:
    sp.methods.register(toy_method.METHOD)
    assert sp.methods.names().count("toy") == 1
    with pytest.raises(ArgumentError, match="method: wanted another name"):
        sp.methods.register(sp.methods.get("acdc"))

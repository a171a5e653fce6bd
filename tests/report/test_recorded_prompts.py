"""Single prompts on the page to explore: what is recorded is what the functions return."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import sp_widget as sp
from sp_widget.circuits.scores import PruneScores, largest
from sp_widget.data.token_text import prompt_text
from sp_widget.errors import ArgumentError
from sp_widget.report import recorded_prompts
from sp_widget.report.picture import snapshot
from sp_widget.types import AblationType, PatchType
from tests.model_kinds import N_TOKENS, bridge, dataloader, new_bridge

N_EDGES = 17
OPTIONS: dict[str, Any] = {
    "patch_type": PatchType.EDGE_PATCH,
    "ablation_type": AblationType.TOKENWISE_MEAN_CORRUPT,
}


@pytest.fixture(scope="module")
def model() -> sp.PatchableModel:
    """Without a tokenizer."""
    return sp.patchable_model(bridge("native-attention-only"))


def ranked(model: sp.PatchableModel) -> PruneScores:
    return PruneScores(model.graph.split(torch.arange(1, model.n_edges + 1).float()), model.graph)


def data_of(page: bytes) -> Any:
    """The data of a page, as its script reads it."""
    text = page.decode().split('<script type="application/json" id="sp-data">')[1]
    return json.loads(text.split("</script>")[0])


def test_the_worst_prompts_are_recorded_with_circuits_of_several_sizes(
    model: sp.PatchableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = sp.random_prune_scores(model, dataloader(), seed=1)
    loader = dataloader(batch_size=5, n_prompts=10)
    measured = sp.evaluate(
        model, loader, scores, sizes=[5, 60], complement=False, random=0, progress=False
    )
    off = scores.top(3)[-1][0]
    picture = snapshot(
        model,
        scores,
        n_edges=N_EDGES,
        faithfulness=measured,
        switches=[f"-{off}"],
        prompts=loader,
        **OPTIONS,
    )
    recorded = data_of(picture.web_page())["prompts"]
    assert recorded["note"] == ""
    listed = sp.per_prompt(model, loader, scores, N_EDGES, **OPTIONS)
    assert [each["place"] for each in recorded["prompts"]] == [
        each.place for each in listed.prompts[:8]
    ]
    assert recorded["in_common"] == list(listed.in_common)
    assert recorded["list_note"] == (
        "The 8 worst of 10 prompts, by what the circuit of 17 edges loses."
    )
    for each in recorded["prompts"][::4]:
        pair = loader.dataset[each["place"]]
        assert each["text"] == prompt_text(model.tokenizer, pair.clean.tolist())
        assert [token["differs"] for token in each["tokens"]] == (
            pair.clean != pair.corrupt
        ).tolist()
        assert [circuit["n_edges"] for circuit in each["circuits"]] == [
            0, 1, 5, N_EDGES, 60, model.n_edges,
        ]  # fmt: skip
        for circuit in each["circuits"][1:4]:
            found = sp.predictions(
                model, pair, scores, circuit["n_edges"], dataloader=loader, **OPTIONS
            )
            for run, predicted in (
                (found.whole_model, each["whole_model"]),
                (found.circuit, circuit["predictions"]),
                (found.corrupt_run, each["corrupt_run"]),
            ):
                assert [one["probability"] for one in predicted] == pytest.approx(
                    [one.probability for one in run], abs=1e-6
                )
                assert predicted[0]["text"] == run[0].text
                assert [one["is_answer"] for one in predicted] == [
                    one.token == int(pair.answers) for one in run
                ]
            assert circuit["kl_div"] == pytest.approx(found.kl_div, abs=1e-6)

        inside = [edge for edge, _ in scores.top(N_EDGES) if edge != off]
        found = sp.predictions(model, pair, inside, dataloader=loader, **OPTIONS)
        assert (each["edited"]["n_edges"], each["edited"]["n_switched"]) == (N_EDGES - 1, 1)
        assert each["edited"]["kl_div"] == pytest.approx(found.kl_div, abs=1e-6)
    assert (recorded["n_edges"], recorded["switches"]) == (N_EDGES, [f"-{off}"])

    # Where time is short, the worst of a batch is there.
    monkeypatch.setattr(recorded_prompts, "SECONDS", 0.0)
    short = data_of(picture.web_page())["prompts"]
    first = next(each.place for each in listed.prompts if each.place < 5)
    assert [each["place"] for each in short["prompts"]] == [first]
    assert short["list_note"].startswith("The worst of 5 prompts")


def test_a_long_prompt_and_many_sizes_are_bounded(
    model: sp.PatchableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_prompts, "MOST_TOKENS", N_TOKENS - 2)
    monkeypatch.setattr(recorded_prompts, "SECONDS", 0.0)
    sizes = range(model.n_edges + 1)
    recorder = recorded_prompts.PromptRecorder(
        model, dataloader(), PatchType.TREE_PATCH, AblationType.RESAMPLE
    )
    importance = model.graph.flatten(dict(ranked(model)))
    unedited = largest(importance, N_EDGES)
    (only,) = recorder.record(importance, N_EDGES, sizes, unedited, [])["prompts"]
    assert only["edited"] is None
    pair = dataloader().dataset[only["place"]]
    assert only["n_left_out"] == 2
    # Without a tokenizer a token is its number.
    assert [token["clean"] for token in only["tokens"]] == [str(int(t)) for t in pair.clean[2:]]
    recorded = [each["n_edges"] for each in only["circuits"]]
    assert recorded == sorted(set(recorded))
    assert len(recorded) <= recorded_prompts.MOST_SIZES
    assert {0, N_EDGES, model.n_edges} <= set(recorded)


def test_the_page_says_why_a_model_cannot_be_asked_and_leaves_out_answers_that_are_values(
    model: sp.PatchableModel,
) -> None:
    inner = new_bridge("native-attention-only")
    changing = sp.patchable_model(inner)
    picture = snapshot(changing, ranked(changing), prompts=dataloader())
    with torch.no_grad():
        next(iter(inner.parameters())).mul_(2)
    data = data_of(picture.web_page())
    assert data["circuit"]["n_edges"] == picture._circuit.size
    assert data["prompts"]["prompts"] == []
    assert "weight" in data["prompts"]["note"]

    tokens = dataloader().dataset.clean_prompts
    targets = torch.zeros(len(tokens), 50)
    values = sp.PromptDataLoader(sp.PromptDataset(tokens, tokens, targets, targets))
    assert data_of(snapshot(model, ranked(model), prompts=values).web_page())["prompts"] is None
    assert data_of(snapshot(model, ranked(model)).web_page())["prompts"] is None
    with pytest.raises(ArgumentError, match="prompts: wanted a PromptDataLoader"):
        snapshot(model, ranked(model), prompts=[])  # type: ignore[arg-type]

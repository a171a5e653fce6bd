"""induction: a two-layer attention-only model completes random sequences that repeat."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import sp_widget as sp
from sp_widget.types import PatchType
from tests.tasks.loaded import (
    answers_of_test_prompts,
    circuit_logits,
    prompts_of,
    script,
    task,
)

OFFICIAL = (
    "Resid Start->A0.3.V",
    "A0.3->A1.0.K",
    "Resid Start->A1.0.Q",
    "Resid Start->A1.0.V",
    "A1.0->Resid End",
)


def accuracy(logits: torch.Tensor) -> float:
    answers = answers_of_test_prompts(task("induction"))[:, 0]
    return (logits.argmax(dim=-1) == answers).float().mean().item()


def test_the_model_completes_repeats() -> None:
    loaded = task("induction")
    with torch.no_grad():
        logits = torch.cat([loaded.model(batch.clean)[:, -1] for batch in loaded.test_loader])
    assert accuracy(logits) >= 0.98


def test_the_model_completes_repeats_it_has_never_seen() -> None:
    """Fresh sequences, of every period it was trained on and read off plain Python."""
    generator = torch.Generator().manual_seed(12345)
    for period in range(6, 14):
        part = torch.stack(
            [1 + torch.randperm(32, generator=generator)[:period] for _ in range(50)]
        )
        cut = 20
        tokens = torch.cat([torch.zeros(50, 1, dtype=torch.long), part, part, part, part], dim=1)
        with torch.no_grad():
            logits = task("induction").model(tokens[:, :cut])[:, -1]
        assert (logits.argmax(dim=-1) == tokens[:, cut]).float().mean() >= 0.98


def test_corrupt_prompts_do_not_give_the_answer() -> None:
    loaded = task("induction")
    with torch.no_grad():
        logits = torch.cat([loaded.model(batch.corrupt)[:, -1] for batch in loaded.test_loader])
    assert accuracy(logits) < 0.05


def test_corrupt_prompts_repeat_nothing_and_lack_the_answer() -> None:
    for prompt in prompts_of("induction")["prompts"]:
        assert len(set(prompt["corrupt"])) == len(prompt["corrupt"])
        assert prompt["answers"][0] not in prompt["corrupt"]
        assert prompt["corrupt"][-1] != prompt["clean"][-1]


def test_the_answer_follows_the_earlier_place_of_the_last_token() -> None:
    for prompt in prompts_of("induction")["prompts"]:
        clean = prompt["clean"]
        earlier = clean.index(clean[-1])
        assert earlier < len(clean) - 1
        assert clean[earlier + 1] == prompt["answers"][0]
        assert prompt["wrong_answers"] != prompt["answers"]


def test_prompts_are_reproduced_from_the_seed() -> None:
    assert script("make_induction").make_prompts() == prompts_of("induction")


def test_official_edges_are_those_of_the_measured_heads() -> None:
    official = task("induction").official_edges
    assert official is not None
    assert {edge.name for edge in official} == set(OFFICIAL)


def test_the_heads_attend_as_their_names_say() -> None:
    """Head A0.3 to the previous token, head A1.0 to what followed the last token before."""
    loaded = task("induction")
    batch = next(iter(loaded.test_loader))
    with torch.no_grad():
        _, cache = loaded.model.wrapped_model.run_with_cache(batch.clean)
    previous, induction = [], []
    for row, (prompt, answer) in enumerate(
        zip(batch.clean.tolist(), batch.answers[:, 0].tolist(), strict=True)
    ):
        place = prompt.index(prompt[-1]) + 1
        assert prompt[place] == answer
        previous.append(cache["blocks.0.attn.hook_pattern"][row, 3, place, place - 1])
        induction.append(cache["blocks.1.attn.hook_pattern"][row, 0, -1, place])
    assert torch.stack(previous).mean() > 0.9
    assert torch.stack(induction).mean() > 0.8


@pytest.mark.parametrize("patch_type", list(PatchType))
def test_the_official_circuit_alone_completes_repeats(patch_type: PatchType) -> None:
    loaded = task("induction")
    assert loaded.official_edges is not None
    assert accuracy(circuit_logits(loaded, loaded.official_edges, patch_type)) >= 0.98


@pytest.mark.parametrize("missing", OFFICIAL)
def test_no_official_edge_can_be_missing(missing: str) -> None:
    """On the clean prompt; on the corrupt one, the last edge alone carries the whole answer."""
    loaded = task("induction")
    assert loaded.official_edges is not None
    edges = {edge for edge in loaded.official_edges if edge.name != missing}
    assert accuracy(circuit_logits(loaded, edges, PatchType.TREE_PATCH)) < 0.2


def test_probing_finds_exactly_the_official_edges() -> None:
    loaded = task("induction")
    assert loaded.official_edges is not None
    trainer = sp.SubnetworkProbing(
        loaded.model, loaded.train_loader, replace(loaded.config, seed=0, epochs=25)
    )
    scores = trainer.run(progress=False)
    assert sp.auroc(loaded.model, scores, loaded.official_edges) == 1.0

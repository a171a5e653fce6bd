"""agreement: number carried across a distance, by a language model that only read books."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import sp_widget as sp
from tests.tasks.loaded import prompts_of, script, task

N_PROMPTS = 512


def last_logits(kind: str, loader_name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits `[prompts, d_vocab]` after a loader's prompts, answers and wrong answers."""
    loaded = task("agreement")
    batches = list(getattr(loaded, loader_name))
    with torch.no_grad():
        logits = torch.cat([loaded.model(getattr(batch, kind))[:, -1] for batch in batches])
    answers = torch.cat([batch.answers[:, 0] for batch in batches])
    return logits, answers, torch.cat([batch.wrong_answers[:, 0] for batch in batches])


def held_out_prompts() -> list[dict[str, Any]]:
    prompts: list[dict[str, Any]] = prompts_of("agreement")["prompts"]
    return prompts[N_PROMPTS // 2 :]


def advantage(kind: str, loader_name: str) -> torch.Tensor:
    """By how much the answer's logit is above the wrong answer's, `[prompts]`."""
    logits, answers, wrong_answers = last_logits(kind, loader_name)
    rows = torch.arange(len(answers))
    return logits[rows, answers] - logits[rows, wrong_answers]


def forms_of(prompt: str) -> tuple[str, str]:
    """Subject and object of a bundled prompt, as they stand there."""
    match = re.fullmatch(r"The (\w+) \w+ the (\w+), and lifted up", prompt)
    assert match is not None
    return match[1], match[2]


def nouns_of(prompt: str) -> tuple[str, str]:
    """Subject and object of a bundled prompt, in the singular."""
    module = script("make_agreement")
    nouns = module.SUBJECTS | module.OBJECTS
    singular = {form: noun for noun, plural in nouns.items() for form in (noun, plural)}
    subject, place = forms_of(prompt)
    return singular[subject], singular[place]


@pytest.mark.parametrize("loader_name", ["train_loader", "test_loader"])
def test_at_least_90_percent_of_prompts_are_right(loader_name: str) -> None:
    difference = advantage("clean", loader_name)
    assert len(difference) == N_PROMPTS // 2
    assert (difference > 0).float().mean() >= 0.9


def test_neither_number_is_preferred_for_its_own_sake() -> None:
    """A model that always said the same would be right on one number and wrong on the other."""
    difference = advantage("clean", "test_loader")
    plural = torch.tensor([prompt["answers"] == [" their"] for prompt in held_out_prompts()])
    assert plural.float().mean() == 0.5
    assert (difference[plural] > 0).float().mean() >= 0.85
    assert (difference[~plural] > 0).float().mean() >= 0.85


def test_an_object_of_the_other_number_does_not_mislead() -> None:
    module = script("make_agreement")
    difference = advantage("clean", "test_loader")
    misleading = []
    for prompt in held_out_prompts():
        subject, place = forms_of(prompt["clean"])
        misleading.append((subject in module.SUBJECTS) != (place in module.OBJECTS))
    assert sum(misleading) == N_PROMPTS // 4
    assert (difference[torch.tensor(misleading)] > 0).float().mean() >= 0.9


def test_the_corrupt_prompt_asks_for_the_other_answer() -> None:
    """The subject in the other number: what was wrong is right, on as many prompts."""
    assert (advantage("corrupt", "test_loader") < 0).float().mean() >= 0.9


def test_the_corrupt_run_is_far_from_the_clean_one() -> None:
    clean, _, _ = last_logits("clean", "test_loader")
    corrupt, _, _ = last_logits("corrupt", "test_loader")
    divergence = torch.nn.functional.kl_div(
        corrupt.log_softmax(dim=-1),
        clean.log_softmax(dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    assert divergence > 0.7


def test_only_the_number_of_the_subject_differs_in_a_corrupt_prompt() -> None:
    loaded = task("agreement")
    subject = loaded.train_loader.word_idxs["subject"]
    for loader in (loaded.train_loader, loaded.test_loader):
        for batch in loader:
            differs = batch.clean != batch.corrupt
            assert differs[:, subject].all()
            assert differs.sum() == len(batch.clean)
    for prompt in prompts_of("agreement")["prompts"]:
        assert nouns_of(prompt["clean"]) == nouns_of(prompt["corrupt"])


def test_prompts_are_reproduced_from_the_seed() -> None:
    assert script("make_agreement").make_prompts() == prompts_of("agreement")


def test_all_prompts_are_different() -> None:
    assert len({prompt["clean"] for prompt in prompts_of("agreement")["prompts"]}) == N_PROMPTS


def test_no_pair_of_nouns_of_a_test_prompt_is_one_of_a_train_prompt() -> None:
    prompts = prompts_of("agreement")["prompts"]
    train, test = (
        {nouns_of(prompt["clean"]) for prompt in part} for part in (prompts[:256], prompts[256:])
    )
    assert train.isdisjoint(test)


def test_no_subject_of_a_prompt_stands_near_its_object_in_the_text_that_the_model_has_read() -> (
    None
):
    """The script compares `SEEN_PAIRS` with the text before it trains."""
    seen = script("make_agreement").SEEN_PAIRS
    assert len(seen) > 40
    assert seen.isdisjoint(
        nouns_of(prompt["clean"]) for prompt in prompts_of("agreement")["prompts"]
    )


def test_pairs_near_each_other_in_a_text_are_found_in_both_numbers() -> None:
    found = script("make_agreement").seen_pairs(
        ["The sons of the city came.", "Servants built walls.", "A king, the gate.", "Men and men."]
    )
    assert found == {("son", "city"), ("servant", "wall")}


def test_positions_line_up_so_that_edges_can_be_tokenwise() -> None:
    loaded = task("agreement")
    batch = next(iter(loaded.train_loader))
    seq_len = batch.clean.shape[1]
    assert loaded.train_loader.word_idxs["end"] == seq_len - 1
    model = sp.patchable_model(loaded.model.wrapped_model, seq_len=seq_len)
    assert model.n_edges == seq_len * loaded.model.n_edges


def test_weights_are_stored_in_half_precision_and_computed_with_in_single() -> None:
    bridge = task("agreement").model.wrapped_model
    assert {parameter.dtype for parameter in bridge.parameters()} == {torch.float32}
    assert all((p == p.half().float()).all() for p in bridge.original_model.parameters())

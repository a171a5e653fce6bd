"""agreement: number carried across a distance, by a language model that only read books."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import sp_widget as sp
from sp_widget.types import PatchType
from tests.tasks.loaded import circuit_logits, prompts_of, script, task

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


def divergence(logits: torch.Tensor, clean: torch.Tensor) -> float:
    """KL of predictions from the clean run's, in nats, a prompt."""
    return torch.nn.functional.kl_div(
        logits.log_softmax(dim=-1),
        clean.log_softmax(dim=-1),
        reduction="batchmean",
        log_target=True,
    ).item()


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


@pytest.mark.parametrize("loader_name", ["train_loader", "test_loader"])
def test_the_corrupt_run_is_far_from_the_clean_one(loader_name: str) -> None:
    """What is to be won back: the divergence that a circuit without any edge leaves."""
    clean, _, _ = last_logits("clean", loader_name)
    corrupt, _, _ = last_logits("corrupt", loader_name)
    assert divergence(corrupt, clean) > 3


def test_the_circuit_without_edges_predicts_what_the_corrupt_run_does() -> None:
    loaded = task("agreement")
    corrupt, _, _ = last_logits("corrupt", "test_loader")
    empty = circuit_logits(loaded, set(), PatchType.TREE_PATCH)
    torch.testing.assert_close(empty, corrupt, atol=1e-3, rtol=0)


def test_values_alone_do_not_suffice() -> None:
    """Every edge but those into queries and keys: attention goes where the corrupt prompt's did."""
    loaded = task("agreement")
    clean, _, _ = last_logits("clean", "test_loader")
    edges = {edge for edge in loaded.model.edges if edge.dest.name[-2:] not in (".Q", ".K")}
    assert 0 < len(edges) < len(loaded.model.edges)
    assert divergence(circuit_logits(loaded, edges, PatchType.TREE_PATCH), clean) > 0.5


def test_clean_prompts_and_answers_are_reproduced_from_the_seed() -> None:
    bundled = prompts_of("agreement")["prompts"]
    assert script("make_agreement").make_clean_prompts() == [
        {key: prompt[key] for key in ("clean", "answers", "wrong_answers")} for prompt in bundled
    ]


def test_corrupt_prompts_are_openings_of_plain_sentences_that_name_no_subject() -> None:
    """Drawing them again takes the book: here they are held to what the script asks of them."""
    module, loaded = script("make_agreement"), task("agreement")
    prompts = prompts_of("agreement")["prompts"]
    subjects = set(module.SUBJECTS) | set(module.SUBJECTS.values())
    tokens = torch.cat(
        [batch.corrupt for part in (loaded.train_loader, loaded.test_loader) for batch in part]
    )
    assert tokens.shape == (N_PROMPTS, 1 + len(module.SEQ_LABELS))
    decoded = loaded.model.wrapped_model.tokenizer.batch_decode(tokens[:, 1:])
    assert decoded == [" " + prompt["corrupt"] for prompt in prompts]
    for prompt in prompts:
        assert re.fullmatch(r"[A-Z][a-z]*(,? [A-Za-z]+)*", prompt["corrupt"])
        assert subjects.isdisjoint(re.findall(r"\w+", prompt["corrupt"].lower()))
        assert "lifted up" not in prompt["corrupt"]


def test_all_prompts_are_different() -> None:
    prompts = prompts_of("agreement")["prompts"]
    assert len({prompt[kind] for prompt in prompts for kind in ("clean", "corrupt")}) == (
        2 * N_PROMPTS
    )


def test_only_unrelated_openings_of_whole_words_are_drawn_each_once() -> None:
    module = script("make_agreement")
    tokenizer = task("agreement").model.wrapped_model.tokenizer
    good = [
        "They went out and stood at the gate of the city.",
        "In the day of the cloud, they went out.",
    ]
    bad = [
        "The Kings of the land went out of the gate with him.",  # a subject, in capitals
        'He said to him, "Go out to the gate, and see."',  # other marks than commas
        "They went out.",  # too short
        "He went out of the gate with unpersuadedness.",  # the ninth token ends in a word
        "They lifted up their eyes and looked, and saw him.",  # as every clean prompt ends
        good[0],  # a second time
    ]
    openings = module.draw_openings([*good, *bad], tokenizer, 2)
    assert sorted(openings) == [
        "In the day of the cloud, they went",
        "They went out and stood at the gate of",
    ]
    with pytest.raises(ValueError, match="2 such openings, 3 are wanted"):
        module.draw_openings([*good, *bad], tokenizer, 3)


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

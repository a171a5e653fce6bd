"""tiny-ioi: indirect object identification, learnt from template English."""

from __future__ import annotations

from itertools import islice

import torch

import sp_widget as sp
from tests.tasks.loaded import prompts_of, script, task

THE_SENTENCE = "When Mary and John went to the store, John gave a drink to"


def last_logits(kind: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits `[prompts, d_vocab]` after all prompts, their answers and their wrong answers."""
    loaded = task("tiny-ioi")
    batches = [batch for loader in (loaded.train_loader, loaded.test_loader) for batch in loader]
    with torch.no_grad():
        logits = torch.cat([loaded.model(getattr(batch, kind))[:, -1] for batch in batches])
    answers = torch.cat([batch.answers[:, 0] for batch in batches])
    return logits, answers, torch.cat([batch.wrong_answers[:, 0] for batch in batches])


def test_the_sentence_of_the_literature_goes_on_with_mary() -> None:
    bridge = task("tiny-ioi").model.wrapped_model
    logits = bridge(THE_SENTENCE)[0, -1]
    assert bridge.to_string(logits.argmax().view(1)) == " Mary"


def test_at_least_98_percent_of_held_out_prompts_are_right() -> None:
    logits, answers, _ = last_logits("clean")
    assert len(answers) == 512
    assert (logits.argmax(dim=-1) == answers).float().mean() >= 0.98


def test_both_name_orders_are_solved() -> None:
    logits, answers, _ = last_logits("clean")
    loaded = task("tiny-ioi")
    first = loaded.train_loader.word_idxs["first name"]
    clean = torch.cat(
        [batch.clean for loader in (loaded.train_loader, loaded.test_loader) for batch in loader]
    )
    right = logits.argmax(dim=-1) == answers
    answer_first = clean[:, first] == answers
    assert answer_first.float().mean() == 0.5
    assert right[answer_first].float().mean() >= 0.97
    assert right[~answer_first].float().mean() >= 0.97


def test_corrupt_prompts_leave_the_answer_open() -> None:
    """Neither name is preferred: half of the answers by chance, no logit difference on average."""
    logits, answers, wrong_answers = last_logits("corrupt")
    rows = torch.arange(len(answers))
    difference = logits[rows, answers] - logits[rows, wrong_answers]
    clean_logits, _, _ = last_logits("clean")
    clean_difference = clean_logits[rows, answers] - clean_logits[rows, wrong_answers]
    assert (logits.argmax(dim=-1) == answers).float().mean() < 0.6
    assert difference.mean().abs() < 0.1 * clean_difference.mean()


def test_only_the_repeated_name_differs_in_a_corrupt_prompt() -> None:
    loaded = task("tiny-ioi")
    giver = loaded.train_loader.word_idxs["giver"]
    for batch in loaded.train_loader:
        differs = batch.clean != batch.corrupt
        assert differs[:, giver].all()
        assert differs.sum() == len(batch.clean)
        # A third name: neither of the two in the sentence.
        third = batch.corrupt[:, giver].unsqueeze(1)
        assert not (batch.clean == third).any()


def test_prompts_are_reproduced_from_the_seed() -> None:
    assert script("make_tiny_ioi").make_prompts() == prompts_of("tiny-ioi")


def test_several_templates_are_used() -> None:
    openings = {prompt["clean"].split()[0] for prompt in prompts_of("tiny-ioi")["prompts"]}
    assert len(openings) == 8


def test_no_name_pair_of_a_prompt_occurs_in_the_training_text() -> None:
    module = script("make_tiny_ioi")
    names = set(module.NAMES)

    def pair(text: str) -> frozenset[str]:
        words = [word for word in text.replace(",", " ").split() if word in names]
        return frozenset(words[:2])

    trained = {pair(text) for text, _ in islice(module.training_sentences(), 20_000)}
    bundled = {pair(prompt["clean"]) for prompt in prompts_of("tiny-ioi")["prompts"]}
    assert all(len(names) == 2 for names in trained | bundled)
    assert trained.isdisjoint(bundled)


def test_positions_line_up_so_that_edges_can_be_tokenwise() -> None:
    loaded = task("tiny-ioi")
    model = sp.patchable_model(loaded.model.wrapped_model, seq_len=15)
    assert model.n_edges == 15 * loaded.model.n_edges
    tokenizer = loaded.model.tokenizer
    names = {tokenizer.convert_tokens_to_ids(f" {name}") for name in script("make_tiny_ioi").NAMES}
    batch = next(iter(loaded.train_loader))
    assert batch.clean.shape[1] == 15
    for word in ("first name", "second name", "giver"):
        assert set(batch.clean[:, loaded.train_loader.word_idxs[word]].tolist()) <= names


def test_text_comes_back_from_its_tokens() -> None:
    bridge = task("tiny-ioi").model.wrapped_model
    tokens = bridge.to_tokens(THE_SENTENCE, prepend_bos=False)
    assert bridge.to_string(tokens[0]).strip() == THE_SENTENCE
    assert bridge.to_str_tokens(" Mary", prepend_bos=False) == [" Mary"]

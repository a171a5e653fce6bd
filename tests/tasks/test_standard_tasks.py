"""Standard tasks on a model that the user brings, here GPT-2's vocabulary on random weights."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

import sp_widget as sp
from sp_widget.tasks import Task
from sp_widget.tasks.standard.examples import Example, draw_examples
from sp_widget.tasks.standard.names import MEN, WOMEN
from tests.model_kinds import tokenizer as tokenizer_of_other_words
from tests.tasks.gpt2_vocabulary import VOCAB_BPE, gpt2_tokenizer

NAMES = (
    "ioi",
    "greater-than",
    "docstring",
    "gendered-pronouns",
    "capital-country",
    "subject-verb",
)
N_TRAIN, N_TEST = 60, 30


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """GPT-2 small but for its width and its weights, which are random; from a folder "gpt2"."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("checkpoints") / "gpt2"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(n_embd=24)).save_pretrained(folder)
    gpt2_tokenizer().save_pretrained(folder)
    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu")
    bridge.eval()
    return bridge


@pytest.fixture(scope="module")
def tasks(bridge: Any) -> dict[str, Task]:
    model = sp.patchable_model(bridge)
    return {name: load(name, model) for name in NAMES}


def load(name: str, model: Any, seed: int = 0) -> Task:
    return sp.tasks.load(
        name, model=model, n_train=N_TRAIN, n_test=N_TEST, seed=seed, batch_size=(8, 16)
    )


def texts(task: Task, side: str = "clean", loader: str = "both") -> list[str]:
    loaders = {
        "both": (task.train_loader, task.test_loader),
        "train": (task.train_loader,),
        "test": (task.test_loader,),
    }[loader]
    return [
        task.model.tokenizer.decode(row).replace("<|endoftext|>", "")
        for each in loaders
        for batch in each
        for row in getattr(batch, side)
    ]


def answers(task: Task, key: str = "answers") -> list[list[str]]:
    return [
        [task.model.tokenizer.decode(answer) for answer in row]
        for loader in (task.train_loader, task.test_loader)
        for batch in loader
        for row in getattr(batch, key)
    ]


def cases(task: Task) -> list[tuple[str, str, list[str], list[str]]]:
    """Clean prompt, corrupt prompt, answers and wrong answers of every pair."""
    columns = texts(task), texts(task, "corrupt"), answers(task), answers(task, "wrong_answers")
    return list(zip(*columns, strict=True))


def test_the_vocabulary_is_that_of_gpt2() -> None:
    # The hash is the one that tiktoken checks a download of the file against.
    published = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
    assert hashlib.sha256(VOCAB_BPE).hexdigest() == published
    ids = gpt2_tokenizer()("When Mary and John went to the store<|endoftext|>")["input_ids"]
    assert ids == [2215, 5335, 290, 1757, 1816, 284, 262, 3650, 50256]


def test_standard_tasks_have_names_of_their_own() -> None:
    assert sp.tasks.standard_names() == NAMES
    assert set(NAMES).isdisjoint(sp.tasks.names())


def test_there_are_as_many_prompts_as_asked_for(tasks: dict[str, Task]) -> None:
    for name, task in tasks.items():
        assert task.name == name
        train, test = texts(task, loader="train"), texts(task, loader="test")
        assert (len(train), len(test)) == (N_TRAIN, N_TEST)
        assert set(train).isdisjoint(test)
        pairs = list(zip(texts(task), texts(task, "corrupt"), strict=True))
        assert len(set(pairs)) == len(pairs)
        assert next(iter(task.train_loader)).clean.shape[0] == 8


def test_the_seed_decides_which_prompts_there_are(tasks: dict[str, Task]) -> None:
    for name in ("ioi", "docstring"):
        assert cases(load(name, tasks[name].model)) == cases(tasks[name])
        assert texts(load(name, tasks[name].model, seed=1)) != texts(tasks[name])


class FourPrompts:
    """Two subjects, two prompts about each."""

    subjects = ("a", "b")

    def example(self, subject: str, draw: random.Random) -> Example:
        words = {"subject": subject, "number": draw.choice("12")}
        return Example("{subject} {number}", words, {**words, "subject": "c"}, (0,), (1,))


def test_more_prompts_than_there_are_is_an_error() -> None:
    train, test = draw_examples(FourPrompts(), 2, 2, seed=0)
    assert {example.clean["subject"] for example in train + test} == {"a", "b"}
    assert len({example.clean["subject"] for example in train}) == 1
    with pytest.raises(sp.ArgumentError, match=r"^n_test: wanted at most about 2, .*, got 3"):
        draw_examples(FourPrompts(), 2, 3, seed=0)
    everything, nothing = draw_examples(FourPrompts(), 4, 0, seed=0)
    assert (len(everything), len(nothing)) == (4, 0)


def test_clean_and_corrupt_prompts_line_up_and_differ_in_single_tokens(
    tasks: dict[str, Task],
) -> None:
    n_places = {"ioi": 3, "docstring": 5}
    for name, task in tasks.items():
        for batch in task.train_loader:
            differ = (batch.clean != batch.corrupt).sum(dim=1)
            # Of two random words one may be the same: only the number of places is certain.
            assert (differ == n_places.get(name, 1)).all()
            if batch.clean_attention_mask is not None:
                assert batch.corrupt_attention_mask is not None
                assert (batch.clean_attention_mask == batch.corrupt_attention_mask).all()
            first = batch.clean[:, 0]
            assert (first == task.model.tokenizer.bos_token_id).all()


def test_ioi_prompts_are_abba_and_baba_with_abc_corruption(tasks: dict[str, Task]) -> None:
    a_name = re.compile(rf"\b(?:{'|'.join((MEN + WOMEN).split())})\b")
    orders, places = Counter[str](), set()
    for clean, corrupt, [answer], [wrong] in cases(tasks["ioi"]):
        found, others = a_name.findall(clean), a_name.findall(corrupt)
        indirect_object, giver = answer.strip(), wrong.strip()
        assert found[2] == giver
        assert sorted(found[:2]) == sorted([indirect_object, giver])
        orders["ABBA" if found[1] == giver else "BABA"] += 1
        places.add(re.findall(r"the (\w+)[,. ]", clean)[0])
        assert len(set(others)) == 3
        assert set(others).isdisjoint(found)
        assert re.sub("|".join(found), "_", clean) == re.sub("|".join(others), "_", corrupt)
    assert min(orders["ABBA"], orders["BABA"]) > 20
    assert len(places) > 8


def test_no_pair_of_names_is_in_train_and_test_prompts(tasks: dict[str, Task]) -> None:
    task = tasks["ioi"]
    pairs = [
        frozenset((answer[0], wrong[0]))
        for answer, wrong in zip(answers(task), answers(task, "wrong_answers"), strict=True)
    ]
    assert set(pairs[:N_TRAIN]).isdisjoint(pairs[N_TRAIN:])


def test_greater_than_answers_are_the_greater_endings(tasks: dict[str, Task]) -> None:
    pattern = re.compile(r"The (\w+) lasted from the year (\d\d)(\d\d) to the year (\d\d)")
    centuries = set()
    for clean, corrupt, right, wrong in cases(tasks["greater-than"]):
        match, other = pattern.fullmatch(clean), pattern.fullmatch(corrupt)
        assert match is not None
        assert other is not None
        noun, century, ending, again = match.groups()
        assert century == again
        assert other.groups() == (noun, century, "01", century)
        assert [int(answer) for answer in right] == list(range(int(ending) + 1, 100))
        assert [int(answer) for answer in wrong] == list(range(int(ending) + 1))
        centuries.add(century)
    assert centuries == {str(century) for century in range(11, 18)}


def test_docstring_answers_are_the_argument_that_is_next(tasks: dict[str, Task]) -> None:
    task = tasks["docstring"]
    for clean, corrupt, [answer], wrong in cases(task):
        arguments, documented = (
            re.findall(pattern, clean, re.S) for pattern in (r"\((.*)\)", r":param (\w+):")
        )
        arguments = arguments[0].split(", ")
        assert arguments[0] == "self"
        assert [*documented, answer.strip()] == arguments[3:6]
        assert {f" {argument}" for argument in arguments[1:]} - {answer} < set(wrong)
        assert answer not in wrong
        assert not set(re.findall(r"\w+", corrupt)) & {*arguments[3:6]}
    # Token positions in whole prompts, as in auto-circuit's file.
    loader = task.train_loader
    batch = next(iter(loader))
    assert loader.seq_len == batch.clean.shape[1]
    for word, position in loader.word_idxs.items():
        named = batch.clean[:, position]
        if word == "end":
            assert (named == task.model.tokenizer.convert_tokens_to_ids("param")).all()
        elif word.endswith("_doc"):
            assert (named == batch.clean[:, loader.word_idxs[word[0] + "_def"]]).all()


def test_pronouns_countries_and_verbs_fit_the_clean_prompt_only(tasks: dict[str, Task]) -> None:
    men, women = set(MEN.split()), set(WOMEN.split())
    for clean, corrupt, right, wrong in cases(tasks["gendered-pronouns"]):
        name, other = (re.findall(r"([A-Z]\w+)(?= is)", text)[0] for text in (clean, corrupt))
        assert (right, wrong) in (([" he"], [" she"]), ([" she"], [" he"]))
        assert name in (women if right == [" she"] else men)
        assert other in (men if right == [" she"] else women)

    country_of = dict[str, str]()
    for clean, corrupt, [answer], [wrong] in cases(tasks["capital-country"]):
        capital, other = (
            re.findall(r"(?:of|that|in|from) ([A-Z]\w+)", text)[0] for text in (clean, corrupt)
        )
        assert country_of.setdefault(capital, answer) == answer
        assert country_of.setdefault(other, wrong) == wrong
    known = {"Paris": " France", "Cairo": " Egypt", "Lima": " Peru", "Tokyo": " Japan"}
    assert known.items() <= country_of.items()

    singular, plural = [" is", " was", " has"], [" are", " were", " have"]
    numbers = Counter[tuple[bool, bool]]()
    for clean, corrupt, right, wrong in cases(tasks["subject-verb"]):
        subject, attractor = (clean.split()[place] for place in (1, -1))
        is_plural = subject.endswith("s") or subject == "children"
        assert (right, wrong) == ((plural, singular) if is_plural else (singular, plural))
        assert clean.split()[2:] == corrupt.split()[2:]
        numbers[is_plural, attractor.endswith("s") or attractor == "children"] += 1
    assert min(numbers.values()) > 10
    assert len(numbers) == 4


def test_words_of_several_tokens_are_left_out_and_counted(tasks: dict[str, Task]) -> None:
    task = tasks["ioi"]
    assert gpt2_tokenizer().tokenize(" Irene") == ["ĠIre", "ne"]
    assert task.left_out == ("Irene",)
    assert not any("Irene" in text for text in texts(task) + texts(task, "corrupt"))
    n_words = len((MEN + WOMEN).split()) + 20 + 19
    assert f"1 of {n_words} words" in task.description
    assert "(Irene)" in task.description
    for name in ("docstring", "subject-verb"):
        assert tasks[name].left_out == ()
    years = [word for word in tasks["greater-than"].left_out if word.isdigit()]
    assert gpt2_tokenizer().tokenize(" 1102") == ["Ġ110", "2"]
    assert gpt2_tokenizer().tokenize(" 1440") == ["Ġ1440"]
    assert {"1102", "1440"} <= set(years)
    assert len(years) == 61
    assert f"{len(years)} of " in tasks["greater-than"].description
    assert "Sofia/Bulgaria" in tasks["capital-country"].left_out
    assert "41 of 80 words or pairs" in tasks["capital-country"].description


def test_words_are_looked_up_as_they_stand_in_a_sentence() -> None:
    """Tokenizers of the SentencePiece kind put a space before the first word of every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedTokenizerFast

    words = [f"▁{word}" for word in ("The", *(MEN + WOMEN).split(), "store", "drink")]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["<unk>", *words])}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    config = TransformerBridgeConfig(
        n_layers=1, n_heads=1, d_model=4, d_head=4, d_mlp=4, n_ctx=32, d_vocab=len(words) + 1,
        act_fn="gelu", seed=0,
    )  # fmt: skip
    bridge = TransformerBridge.boot_native(config)
    bridge.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    task = sp.tasks.load("ioi", model=bridge, n_train=8, n_test=0)
    assert len(task.left_out) == 37
    batch = next(iter(task.train_loader))
    names = {words.index(f"▁{name}") + 1 for name in (MEN + WOMEN).split()}
    for row, answer, wrong in zip(batch.clean, batch.answers, batch.wrong_answers, strict=True):
        found = [token for token in row.tolist() if token in names]
        assert Counter(found) == {answer.item(): 1, wrong.item(): 2}


# Made by auto-circuit (commit of its main branch that was newest in 2026) from the edges of such
# models: SHA-256 of the sorted names, one a line.
AUTO_CIRCUIT = {
    "ioi": (739, "286949356a2154781e554c53b8c80c099e284ffa6c2c4ab4382dfa3ba082d385"),
    "greater-than": (235, "1b40a07626e4dfd396e25da4ddd6154c04b79b039dcf735ee8b219e9918e2851"),
    "docstring": (24, "1c52ab88d9169d4e85b2a941a73dd812e1b951ac93d327a245ddbddbb81ff6a5"),
}


@cache
def four_layers() -> Any:
    """The four-layer model of the docstring circuit, but thinner and with random weights."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    config = TransformerBridgeConfig(
        n_layers=4, n_heads=8, d_model=16, d_head=2, n_ctx=64, d_vocab=50257, act_fn="gelu",
        attn_only=True, seed=0,
    )  # fmt: skip
    name = "NeelNanda/Attn_Only_4L512W_C4_Code"
    bridge = TransformerBridge.boot_native(config, model_name=name)
    bridge.tokenizer = gpt2_tokenizer()
    return bridge


def test_official_circuits_are_those_of_auto_circuit(tasks: dict[str, Task]) -> None:
    for name, (n_edges, digest) in AUTO_CIRCUIT.items():
        task = load(name, four_layers()) if name == "docstring" else tasks[name]
        assert task.official_edges is not None
        assert task.official_edges < task.model.edges
        names = [edge.name for edge in task.official_edges]
        assert len(names) == n_edges
        assert hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest() == digest
    for name in ("docstring", "gendered-pronouns", "capital-country", "subject-verb"):
        assert tasks[name].official_edges is None


def test_a_circuit_is_official_on_the_model_that_it_was_found_in_alone(bridge: Any) -> None:
    name = bridge.cfg.model_name
    model = sp.patchable_model(bridge)
    try:
        for other, is_it in (("gpt2-medium", False), ("openai-community/gpt2", True)):
            bridge.cfg.model_name = other
            assert (load("ioi", model).official_edges is not None) == is_it
    finally:
        bridge.cfg.model_name = name
    assert load("ioi", sp.patchable_model(bridge, separate_qkv=False)).official_edges is None
    assert load("ioi", sp.patchable_model(bridge, factorized=False)).official_edges is None


def test_edges_at_token_positions_need_prompts_of_one_length(bridge: Any) -> None:
    model = sp.patchable_model(bridge, seq_len=13)
    task = load("greater-than", model)
    assert task.model is model
    assert task.official_edges is None
    assert task.train_loader.seq_len == 13
    assert task.train_loader.word_idxs == {"noun": 2, "YY": 7, "XX": 8, "end": 12}
    with pytest.raises(sp.ArgumentError, match=r"model: .*which have 1\d to \d\d tokens.*=13"):
        load("ioi", model)


def test_masks_do_what_they_should_on_padded_prompts() -> None:
    task = sp.tasks.load("ioi", model=four_layers(), n_train=0, n_test=4)
    assert next(iter(task.test_loader)).clean_attention_mask is not None
    assert not sp.check_model(task.model, task.test_loader).failures


def test_three_steps_of_subnetwork_probing_on_padded_prompts(tasks: dict[str, Task]) -> None:
    task = tasks["ioi"]
    assert any(batch.clean_attention_mask is not None for batch in task.train_loader)
    trainer = sp.SubnetworkProbing(
        task.model,
        sp.PromptDataLoader(task.train_loader.dataset, batch_size=2),
        replace(task.config, epochs=1, evaluate_every=None),
    )
    before = {name: scores.clone() for name, scores in trainer.prune_scores.items()}
    records = [trainer.step() for _ in range(3)]
    assert [record.step for record in records] == [1, 2, 3]
    assert all(torch.isfinite(torch.tensor(record.loss)) for record in records)
    assert any((before[name] != scores).any() for name, scores in trainer.prune_scores.items())


def test_bad_arguments_are_refused_by_name(bridge: Any, tasks: dict[str, Task]) -> None:
    def refused(argument: str, name: str, **arguments: Any) -> str:
        with pytest.raises(sp.ArgumentError) as caught:
            sp.tasks.load(name, **arguments)
        assert caught.value.argument == argument
        return str(caught.value)

    model = tasks["ioi"].model
    assert all(name in refused("name", "IOI", model=model) for name in NAMES)
    assert "brings its model" in refused("model", "tiny-ioi", model=bridge)
    assert "brings its model" in refused("n_train", "induction", n_train=5)
    assert "TransformerBridge" in refused("model", "ioi")
    assert "'str'" in refused("model", "ioi", model="gpt2")
    refused("device", "ioi", model=model, device="cpu")
    refused("n_test", "ioi", model=model, n_test=-1)
    refused("n_train", "ioi", model=model, n_train=0, n_test=0)
    refused("seed", "ioi", model=model, seed=1.5)
    refused("batch_size", "ioi", model=model, batch_size=0)
    assert "last_seq" in refused(
        "model", "ioi", model=sp.patchable_model(bridge, slice_output=None)
    )


def test_a_tokenizer_without_the_words_is_refused(bridge: Any) -> None:
    tokenizer = bridge.tokenizer
    try:
        bridge.tokenizer = None
        with pytest.raises(sp.ArgumentError, match=r"model: wanted a model with a tokenizer"):
            sp.tasks.load("ioi", model=bridge)
        bridge.tokenizer = tokenizer_of_other_words()
        for name in NAMES:
            with pytest.raises(sp.ArgumentError, match=r"model: wanted a tokenizer .*, got '0 of"):
                sp.tasks.load(name, model=bridge)
    finally:
        bridge.tokenizer = tokenizer


@pytest.mark.hub
def test_gpt2_small_does_the_tasks_and_its_circuits_are_known() -> None:
    """Needs `gpt2` from the Hugging Face hub (0.5 GB): `pytest -m hub tests/tasks`."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers("gpt2", device="cpu")
    bridge.eval()
    model = sp.patchable_model(bridge)
    at_least = {
        "ioi": 0.9,
        "greater-than": 0.9,
        "gendered-pronouns": 0.9,
        "capital-country": 0.9,
        "subject-verb": 0.8,
    }
    for name, share in at_least.items():
        task = sp.tasks.load(name, model=model, n_train=0, n_test=96)
        n_right = 0
        for batch in task.test_loader:
            with torch.no_grad():
                mask = batch.clean_attention_mask
                probabilities = model(batch.clean, mask)[:, -1].softmax(dim=-1)
            # Together, as for the years of greater-than.
            for row, right, wrong in zip(
                probabilities, batch.answers, batch.wrong_answers, strict=True
            ):
                n_right += int(row[right].sum() > row[wrong].sum())
        assert n_right / 96 >= share, name
        official = task.official_edges
        assert (None if official is None else len(official)) == AUTO_CIRCUIT.get(name, (None,))[0]

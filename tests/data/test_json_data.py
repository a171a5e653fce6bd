"""Datasets read from JSON files, with real tokenizers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sp_widget.data.json_data import load_datasets_from_json
from sp_widget.data.prompt_file import PromptFileError
from sp_widget.data.prompts import PromptDataLoader, PromptPair
from sp_widget.errors import ArgumentError

WORDS = ["[UNK]", "<s>", "</s>", "<pad>", " ", "Mary", "John", "Tom", "gave", "to", "and", "then"]
ID = {word: index for index, word in enumerate(WORDS)}
BOS, EOS, PAD = ID["<s>"], ID["</s>"], ID["<pad>"]


def word_tokenizer(*, adds_bos: bool = False, spaces: bool = False, **special: str) -> Any:
    """A word-level tokenizer; with `spaces`, each space is a token of its own."""
    backend = Tokenizer(models.WordLevel(ID, unk_token="[UNK]"))
    backend.pre_tokenizer = (
        pre_tokenizers.Split(Regex(" |[^ ]+"), "isolated")
        if spaces
        else pre_tokenizers.WhitespaceSplit()
    )
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", BOS)]
        )
    special = {"unk_token": "[UNK]", **special}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)  # type: ignore[no-untyped-call]


FULL: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class Config:
    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


class Model(nn.Module):
    """What the loader asks of a model: a tokenizer, a configuration, a device."""

    def __init__(self, tokenizer: Any = None, **cfg: object) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.cfg = Config(**cfg)


def text_prompt(
    clean: str = "Mary gave to", corrupt: str = "Tom gave to", /, **changes: Any
) -> Any:
    prompt = {"clean": clean, "corrupt": corrupt, "answers": ["John"], "wrong_answers": ["Mary"]}
    return {**prompt, **changes}


def id_prompt(clean: list[int], corrupt: list[int] | None = None, /, **changes: Any) -> Any:
    prompt = {"clean": clean, "corrupt": corrupt or clean, "answers": [1], "wrong_answers": [2]}
    return {**prompt, **changes}


class Files:
    """Writes prompt files into a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *prompts: Any, name: str = "prompts.json", **keys: Any) -> Path:
        return self.raw(json.dumps({**keys, "prompts": list(prompts)}), name)

    def raw(self, text: str, name: str = "prompts.json") -> Path:
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return file


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def pairs(loader: PromptDataLoader) -> list[PromptPair]:
    return [loader.dataset[i] for i in range(len(loader.dataset))]  # type: ignore[arg-type]


def clean_tokens(loader: PromptDataLoader) -> list[list[int]]:
    return [pair.clean.tolist() for pair in pairs(loader)]


def load_all(model: nn.Module | None, path: Path, **arguments: Any) -> PromptDataLoader:
    """One loader with all prompts of a file, in the file's order."""
    n_prompts = len(json.loads(path.read_text(encoding="utf-8"))["prompts"])
    loader, _ = load_datasets_from_json(
        model, path, train_test_size=(n_prompts, 0), **{"shuffle": False, **arguments}
    )
    return loader


# Token ids


def test_token_ids_need_no_model(files: Files) -> None:
    path = files(id_prompt([3, 0, 4], [3, 2, 4]), id_prompt([3, 1, 4]))
    loader = load_all(None, path, prepend_bos=False)
    (batch,) = loader
    assert batch.clean.tolist() == [[3, 0, 4], [3, 1, 4]]
    assert batch.corrupt.tolist() == [[3, 2, 4], [3, 1, 4]]
    assert isinstance(batch.answers, torch.Tensor)
    assert batch.answers.tolist() == [[1], [1]]
    assert batch.clean_attention_mask is None
    assert loader.seq_len == 3


def test_numbers_with_a_decimal_point_are_targets_of_the_shape_of_the_output(files: Files) -> None:
    """One decimal point makes all answers targets: 1 and 1.0 are the same number to many tools."""
    target = {"answers": [[0.5], [1]], "wrong_answers": [[0], [0]]}
    whole = {"answers": [[1], [7]], "wrong_answers": [[0], [0]]}
    path = files(id_prompt([3, 0, 4], **target), id_prompt([3, 1, 4], **whole))
    (batch,) = load_all(Model(d_vocab=5, d_vocab_out=1), path, prepend_bos=False)
    assert isinstance(batch.answers, torch.Tensor)
    assert isinstance(batch.wrong_answers, torch.Tensor)
    assert batch.answers.dtype == batch.wrong_answers.dtype == torch.float32
    assert batch.answers.tolist() == [[[0.5], [1.0]], [[1.0], [7.0]]]


def test_a_fraction_among_token_ids_makes_them_targets_of_a_wrong_number(files: Files) -> None:
    path = files(id_prompt([3, 0]), id_prompt([3, 1], answers=[1, 2.5]))
    with pytest.raises(PromptFileError, match=r"all 7 numbers of the output, got 1 targets"):
        load_all(Model(d_vocab=7), path, prepend_bos=False)


def test_answers_at_several_positions(files: Files) -> None:
    path = files(id_prompt([3, 0], answers=[[0], [1]], wrong_answers=[[1], [2]]))
    (batch,) = load_all(None, path, prepend_bos=False)
    assert isinstance(batch.answers, torch.Tensor)
    assert batch.answers.tolist() == [[[0], [1]]]


def test_token_ids_of_unequal_length_are_padded_on_the_left(files: Files) -> None:
    loader = load_all(None, files(id_prompt([3, 4]), id_prompt([5])), prepend_bos=False)
    (batch,) = loader
    assert batch.clean.tolist() == [[3, 4], [0, 5]]
    assert batch.clean_attention_mask is not None
    assert batch.clean_attention_mask.tolist() == [[1, 1], [0, 1]]
    assert loader.seq_len is None


def test_bos_before_token_ids_needs_a_tokenizer(files: Files) -> None:
    with pytest.raises(ArgumentError, match="prepend_bos: wanted False, because without a token"):
        load_all(None, files(id_prompt([3])))
    model = Model(word_tokenizer(**FULL))
    assert clean_tokens(load_all(model, files(id_prompt([7, 8])))) == [[BOS, 7, 8]]
    assert clean_tokens(load_all(model, files(id_prompt([BOS, 8])))) == [[BOS, 8]]


# Strings


def test_strings_become_tokens_and_answers_single_tokens(files: Files) -> None:
    path = files(text_prompt(answers=["John", "Tom"]))
    (batch,) = load_all(Model(word_tokenizer(**FULL)), path)
    assert batch.clean.tolist() == [[BOS, ID["Mary"], ID["gave"], ID["to"]]]
    assert batch.corrupt.tolist() == [[BOS, ID["Tom"], ID["gave"], ID["to"]]]
    assert isinstance(batch.answers, torch.Tensor)
    assert isinstance(batch.wrong_answers, torch.Tensor)
    assert batch.answers.tolist() == [[ID["John"], ID["Tom"]]]
    assert batch.wrong_answers.tolist() == [[ID["Mary"]]]


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize("written", ["", "<s>", "<s> "])
def test_bos_is_there_once_whoever_puts_it(files: Files, adds_bos: bool, written: str) -> None:
    model = Model(word_tokenizer(adds_bos=adds_bos, **FULL))
    path = files(text_prompt(f"{written}Mary gave", f"{written}Tom gave"))
    (batch,) = load_all(model, path)
    assert batch.clean.tolist() == [[BOS, ID["Mary"], ID["gave"]]]
    assert batch.corrupt.tolist() == [[BOS, ID["Tom"], ID["gave"]]]
    assert isinstance(batch.answers, torch.Tensor)
    assert batch.answers.tolist() == [[ID["John"]]]


@pytest.mark.parametrize("adds_bos", [False, True])
def test_without_prepend_bos_there_is_only_the_bos_that_was_written(
    files: Files, adds_bos: bool
) -> None:
    model = Model(word_tokenizer(adds_bos=adds_bos, **FULL))
    path = files(text_prompt("Mary", "Tom"), text_prompt("<s>", "<s>"))
    assert clean_tokens(load_all(model, path, prepend_bos=False)) == [[ID["Mary"]], [BOS]]


def test_shorter_prompts_are_padded_on_the_left_clean_and_corrupt_alike(files: Files) -> None:
    path = files(text_prompt("Mary gave to", "Tom gave to"), text_prompt("Mary", "Tom"))
    (batch,) = load_all(Model(word_tokenizer(**FULL)), path)
    assert batch.clean.tolist()[1] == [PAD, PAD, BOS, ID["Mary"]]
    assert batch.corrupt.tolist()[1] == [PAD, PAD, BOS, ID["Tom"]]
    for mask in (batch.clean_attention_mask, batch.corrupt_attention_mask):
        assert mask is not None
        assert mask.tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch.batch_diverge_idx == 1


def test_pairs_of_unequal_length_get_a_common_one_and_a_warning(files: Files) -> None:
    path = files(text_prompt("Mary", "Tom"), text_prompt("Mary gave", "Tom then gave to"))
    with pytest.warns(UserWarning, match=r"1 of 2 pairs .* prompts\[1\]: 3 and 5 tokens"):
        loader = load_all(Model(word_tokenizer(**FULL)), path)
    (batch,) = loader
    assert batch.clean.shape == batch.corrupt.shape == (2, 5)
    assert batch.clean_attention_mask is not None
    assert batch.corrupt_attention_mask is not None
    assert batch.clean_attention_mask.sum(1).tolist() == [2, 3]
    assert batch.corrupt_attention_mask.sum(1).tolist() == [2, 5]


@pytest.mark.parametrize(
    ("special", "cfg", "pad_id"),
    [
        ({"bos_token": "<s>", "eos_token": "</s>"}, {}, EOS),
        ({"bos_token": "<s>"}, {}, BOS),
        ({}, {}, 0),
        # A padding token that was added after the model was trained has no embedding.
        ({"bos_token": "<s>", "pad_token": "<new>"}, {"d_vocab": len(WORDS)}, BOS),
    ],
)
def test_without_a_usable_padding_token_another_one_fills_up(
    files: Files, special: dict[str, Any], cfg: dict[str, int], pad_id: int
) -> None:
    model = Model(word_tokenizer(**special), **cfg)
    path = files(text_prompt(), text_prompt("Mary", "Tom"))
    assert clean_tokens(load_all(model, path, prepend_bos=False))[1][:2] == [pad_id, pad_id]


def test_the_users_tokenizer_keeps_its_settings(files: Files) -> None:
    tokenizer = word_tokenizer(adds_bos=True, bos_token="<s>", padding_side="right")
    before = tokenizer.backend_tokenizer.to_str()
    load_all(Model(tokenizer), files(text_prompt(), text_prompt("Mary", "Tom")))
    assert tokenizer.padding_side == "right"
    assert tokenizer.pad_token is None
    assert tokenizer.backend_tokenizer.to_str() == before


def test_an_answer_of_several_tokens_is_named(files: Files) -> None:
    path = files(text_prompt(), text_prompt(wrong_answers=["Mary", "Mary and John"]))
    with pytest.raises(PromptFileError) as caught:
        load_all(Model(word_tokenizer(**FULL)), path)
    assert caught.value.place == 'prompts[1]["wrong_answers"][1]'
    assert '3 tokens ["Mary", "and", "John"]' in str(caught.value)
    assert "space" not in str(caught.value)


def test_a_space_that_makes_an_answer_two_tokens_is_pointed_out(files: Files) -> None:
    path = files(text_prompt(answers=[" John"]))
    with pytest.raises(PromptFileError, match="without the space around it, it is one token"):
        load_all(Model(word_tokenizer(spaces=True, **FULL)), path)


def test_an_answer_that_is_no_token_at_all_is_named(files: Files) -> None:
    with pytest.raises(PromptFileError, match="which is 0 tokens"):
        load_all(Model(word_tokenizer(**FULL)), files(text_prompt(answers=[""])))


def test_an_answer_that_the_tokenizer_does_not_know_is_refused(files: Files) -> None:
    path = files(text_prompt(answers=["Zoe"]))
    with pytest.raises(PromptFileError, match=r"word that the tokenizer knows, got \"Zoe\""):
        load_all(Model(word_tokenizer(**FULL)), path)
    meant = files(text_prompt(answers=["[UNK]"]))
    (batch,) = load_all(Model(word_tokenizer(**FULL)), meant)
    assert isinstance(batch.answers, torch.Tensor)
    assert batch.answers.tolist() == [[0]]


def test_prompts_with_unknown_words_are_counted_in_a_warning(files: Files) -> None:
    path = files(text_prompt(), text_prompt("Zoe gave to", "Tom gave to"))
    with pytest.warns(UserWarning, match=r"1 of 4 prompts .* prompts\[1\]"):
        load_all(Model(word_tokenizer(**FULL)), path)


def test_strings_need_a_tokenizer(files: Files) -> None:
    path = files(text_prompt())
    for model in (None, Model()):
        with pytest.raises(ArgumentError, match=r"model: wanted .* are strings"):
            load_all(model, path)


def test_a_tokenizer_without_bos_needs_prepend_bos_false(files: Files) -> None:
    model = Model(word_tokenizer(eos_token="</s>"))
    with pytest.raises(ArgumentError, match="the tokenizer has no BOS token"):
        load_all(model, files(text_prompt()))
    assert len(clean_tokens(load_all(model, files(text_prompt()), prepend_bos=False))[0]) == 3


def test_a_bos_that_the_model_cannot_embed_is_refused(files: Files) -> None:
    model = Model(word_tokenizer(bos_token="<new>"), d_vocab=len(WORDS))
    with pytest.raises(ArgumentError, match=f"id {len(WORDS)}, which is not in"):
        load_all(model, files(text_prompt()))


# Labels and lengths


def test_labels_move_with_a_bos_that_is_added(files: Files) -> None:
    path = files(
        text_prompt("Mary gave", "Tom gave"), seq_labels=["name", "verb"], word_idxs={"end": 1}
    )
    model = Model(word_tokenizer(**FULL))
    with_bos = load_all(model, path, return_seq_length=True)
    assert with_bos.seq_len == 3
    assert with_bos.seq_labels == ["<|BOS|>", "name", "verb"]
    assert with_bos.word_idxs == {"end": 2}
    without = load_all(model, path, prepend_bos=False, return_seq_length=True)
    assert without.seq_len == 2
    assert without.seq_labels == ["name", "verb"]
    assert without.word_idxs == {"end": 1}


def test_labels_stay_where_bos_was_written_already(files: Files) -> None:
    path = files(text_prompt("<s> Mary", "<s> Tom"), seq_labels=["BOS", "name"])
    loader = load_all(Model(word_tokenizer(**FULL)), path, return_seq_length=True)
    assert loader.seq_labels == ["BOS", "name"]


def test_labels_cannot_fit_prompts_with_and_without_bos(files: Files) -> None:
    path = files(text_prompt("<s> Mary", "<s> Tom"), text_prompt(), word_idxs={"end": 1})
    with pytest.raises(PromptFileError, match="2 of 4 with BOS"):
        load_all(Model(word_tokenizer(**FULL)), path)


@pytest.mark.parametrize(("prepend_bos", "said"), [(True, "without the BOS"), (False, "each")])
def test_labels_of_another_number_than_the_tokens_are_refused(
    files: Files, prepend_bos: bool, said: str
) -> None:
    path = files(text_prompt("Mary gave", "Tom gave"), seq_labels=["name"])
    model = Model(word_tokenizer(**FULL))
    with pytest.raises(PromptFileError, match=rf"wanted 2 labels.*{said}.*got 1"):
        load_all(model, path, prepend_bos=prepend_bos, return_seq_length=True)


def test_the_length_of_strings_is_set_only_on_request(files: Files) -> None:
    model = Model(word_tokenizer(**FULL))
    assert load_all(model, files(text_prompt())).seq_len is None
    assert load_all(model, files(text_prompt()), return_seq_length=True).seq_len == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"return_seq_length": True}, "return_seq_length=True"), ({"pad": False}, "pad=False")],
)
def test_a_prompt_of_another_length_is_named_where_lengths_must_agree(
    files: Files, arguments: dict[str, bool], said: str
) -> None:
    path = files(text_prompt(), text_prompt("Mary gave to", "Tom and Mary gave to"))
    with pytest.raises(PromptFileError) as caught:
        load_all(Model(word_tokenizer(**FULL)), path, **arguments)
    assert caught.value.place == 'prompts[1]["corrupt"]'
    assert f"wanted 4 tokens like prompts[0] of {path}, because of {said}, got 6" in str(
        caught.value
    )


# Order, split, several files


def numbered(files: Files, numbers: range, **keys: Any) -> Path:
    return files(*(id_prompt([number]) for number in numbers), **keys)


def test_prompts_are_shuffled_as_by_the_reference_without_touching_the_global_state(
    files: Files,
) -> None:
    """`random.seed(42)` and `random.shuffle` give this order of ten since Python 3.2."""
    path = numbered(files, range(10))
    python_state, torch_state = random.getstate(), torch.random.get_rng_state()
    train, test = load_datasets_from_json(None, path, prepend_bos=False, train_test_size=(6, 4))
    assert clean_tokens(train) + clean_tokens(test) == [
        [number] for number in (7, 3, 2, 8, 5, 6, 9, 4, 0, 1)
    ]
    assert random.getstate() == python_state
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_the_split_follows_the_order_of_the_file_without_shuffling(files: Files) -> None:
    train, test = load_datasets_from_json(
        None,
        numbered(files, range(9)),
        prepend_bos=False,
        train_test_size=(5, 3),
        batch_size=(2, 3),
        shuffle=False,
    )
    assert [batch.clean.flatten().tolist() for batch in train] == [[0, 1], [2, 3], [4]]
    assert [batch.clean.flatten().tolist() for batch in test] == [[5, 6, 7]]


def test_several_files_all_give_prompts_and_the_first_gives_labels(files: Files) -> None:
    first = numbered(files, range(2), name="a.json", seq_labels=["first"], word_idxs={"end": 0})
    second = numbered(files, range(2, 5), name="b.json", seq_labels=["second"])
    train, test = load_datasets_from_json(
        None,
        [str(first), second],
        prepend_bos=False,
        train_test_size=(4, 1),
        shuffle=False,
    )
    assert [batch.clean.flatten().tolist() for batch in train] == [[0, 1, 2, 3]]
    assert [batch.clean.flatten().tolist() for batch in test] == [[4]]
    assert train.seq_labels == test.seq_labels == ["first"]
    assert train.word_idxs == {"end": 0}


def test_an_error_in_a_later_file_names_that_file(files: Files) -> None:
    first, second = files(id_prompt([1]), name="a.json"), files(text_prompt(), name="b.json")
    with pytest.raises(PromptFileError) as caught:
        load_datasets_from_json(None, [first, second], prepend_bos=False)
    assert caught.value.file == second
    assert "token ids like prompts[0] of" in str(caught.value)


def test_too_few_prompts_for_the_test_set_are_announced(files: Files) -> None:
    path = numbered(files, range(7))
    with pytest.warns(UserWarning, match="5 train and 4 test .* only 7 prompts: 2 are used"):
        train, test = load_datasets_from_json(None, path, prepend_bos=False, train_test_size=(5, 4))
    assert sum(len(batch.clean) for batch in train) == 5
    assert sum(len(batch.clean) for batch in test) == 2


@pytest.mark.parametrize(("sizes", "at_most"), [((7, 1), 6), ((8, 1), 6), ((8, 0), 7)])
def test_too_few_prompts_for_the_train_set_are_refused_with_their_number(
    files: Files, sizes: tuple[int, int], at_most: int
) -> None:
    with pytest.raises(ArgumentError, match=rf"at most {at_most} .* 7 prompts in all") as caught:
        load_datasets_from_json(
            None, numbered(files, range(7)), prepend_bos=False, train_test_size=sizes
        )
    assert caught.value.argument == "train_test_size"


def test_one_of_the_sets_may_be_left_out(files: Files) -> None:
    path = numbered(files, range(3))
    train, test = load_datasets_from_json(None, path, prepend_bos=False, train_test_size=(0, 3))
    assert (len(train), len(test)) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"path": []}, "path"),
        ({"path": 3}, "path"),
        ({"path": [None]}, "path"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": (1, 2, 3)}, "batch_size"),
        ({"batch_size": (1, True)}, "batch_size"),
        ({"train_test_size": 3}, "train_test_size"),
        ({"train_test_size": (0, 0)}, "train_test_size"),
        ({"train_test_size": (1, -1)}, "train_test_size"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    files: Files, arguments: dict[str, Any], argument: str
) -> None:
    arguments = {"path": files(id_prompt([1])), "prepend_bos": False, **arguments}
    with pytest.raises(ArgumentError) as caught:
        load_datasets_from_json(None, **arguments)
    assert caught.value.argument == argument


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match=r"nowhere\.json: wanted a file that can be read"):
        load_datasets_from_json(None, tmp_path / "nowhere.json")
    with pytest.raises(PromptFileError, match="wanted a file that can be read"):
        load_datasets_from_json(None, tmp_path)  # a folder


@pytest.mark.parametrize(
    ("n_prompts", "sizes"), [(1, (1, 0)), (2, (1, 1)), (5, (3, 2)), (256, (128, 128))]
)
def test_without_sizes_few_prompts_are_shared_out(
    files: Files, n_prompts: int, sizes: tuple[int, int]
) -> None:
    loaders = load_datasets_from_json(None, numbered(files, range(n_prompts)), prepend_bos=False)
    assert tuple(len(pairs(loader)) for loader in loaders) == sizes


def test_without_sizes_as_many_are_loaded_as_the_reference_loads(files: Files) -> None:
    train, test = load_datasets_from_json(None, numbered(files, range(300)), prepend_bos=False)
    assert (len(pairs(train)), len(pairs(test))) == (128, 128)


def _raw_prompt(clean: str = "[1]", answers: str = "[1]") -> str:
    return (
        f'{{"prompts": [{{"clean": {clean}, "corrupt": {clean}, "answers": {answers}, '
        '"wrong_answers": [1]}]}'
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (_raw_prompt("[9223372036854775808]"), "whole numbers of 64 bits"),
        (_raw_prompt(answers="[-9223372036854775809]"), "whole numbers of 64 bits"),
        (_raw_prompt("[" + "9" * 5000 + "]"), "whole numbers of 64 bits"),
        (_raw_prompt(answers="[" * 900 + "1" + "]" * 900), "lists within lists"),
        (_raw_prompt("[" * 900 + "1" + "]" * 900), "lists within lists"),
        ("[" * 100_000 + "]" * 100_000, "lists within lists"),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "lists within lists"),
        (_raw_prompt('"a \\ud800 b"'), "surrogate"),
        (_raw_prompt('"a"', '["\\udfff"]'), "surrogate"),
        ('{"\\ud800": 1, "prompts": []}', "surrogate"),
        (_raw_prompt("[1, 2.0]"), "a token id, a whole number"),
        (_raw_prompt(answers="[1, 2.0]"), "token ids, which are whole numbers, or targets"),
        (_raw_prompt(answers="[2.0]"), "token ids, which are whole numbers, or targets"),
        (_raw_prompt('""', '["a"]'), "a text that is not blank"),
        (_raw_prompt('" \\n\\t "', '["a"]'), "a text that is not blank"),
        (_raw_prompt(answers="[NaN]"), "a finite number"),
        (_raw_prompt(answers="[1e999]"), "a finite number"),
    ],
    ids=range(17),
)
def test_values_that_no_model_can_take_are_refused(files: Files, text: str, wanted: str) -> None:
    path = files.raw(text)
    with pytest.raises(PromptFileError) as caught:
        load_datasets_from_json(None, path, prepend_bos=False)
    assert wanted in str(caught.value)
    assert caught.value.file == path
    assert len(str(caught.value)) < 500


# Malformed files


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('{"prompts": [\n  nope\n]}', "line 2, column 3", "wanted JSON, got a syntax error"),
        ("[]", "", 'an object with the key "prompts", got []'),
        ('{"promts": []}', "", 'the key "prompts", got the keys ["promts"]'),
        ('{"prompts": []}', '"prompts"', "at least one prompt, got []"),
        ('{"prompts": {}}', '"prompts"', "a list"),
        ('{"prompts": [1]}', "prompts[0]", "an object with the keys clean, corrupt"),
    ],
)
def test_a_file_of_another_structure_is_explained(
    files: Files, text: str, place: str, said: str
) -> None:
    path = files.raw(text)
    with pytest.raises(PromptFileError) as caught:
        load_datasets_from_json(None, path)
    assert caught.value.file == path
    assert caught.value.place == place
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_file_in_another_encoding_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"prompts": ["é"]}'.encode("latin-1"))
    with pytest.raises(PromptFileError, match="byte 14: wanted text in UTF-8"):
        load_datasets_from_json(None, path)


@pytest.mark.parametrize("key", ["clean", "corrupt", "answers", "wrong_answers"])
def test_a_missing_key_is_named_with_the_keys_that_are_there(files: Files, key: str) -> None:
    prompt = text_prompt()
    del prompt[key]
    with pytest.raises(PromptFileError) as caught:
        load_datasets_from_json(None, files(text_prompt(), prompt))
    assert caught.value.place == "prompts[1]"
    assert f'wanted the key "{key}", got the keys {json.dumps(list(prompt))}' in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "place", "said"),
    [
        (id_prompt([1], clean=7), '["clean"]', "a string or a list of token ids, got 7"),
        (id_prompt([1], clean=None), '["clean"]', "got null"),
        (id_prompt([1], clean=[]), '["clean"]', "an empty list"),
        (
            id_prompt([1], clean=[1, "a"]),
            '["clean"][1]',
            'a token id, a whole number of at least 0, got "a"',
        ),
        (id_prompt([1], clean=[1.5]), '["clean"][0]', "got 1.5"),
        (id_prompt([1], clean=[True]), '["clean"][0]', "got true"),
        (id_prompt([1], clean=[-1]), '["clean"][0]', "got -1"),
        (id_prompt([1], clean=[[1.0, 2.0]]), '["clean"][0]', "got [1.0, 2.0]"),
        (id_prompt([1], [1, 2]), '["corrupt"]', "as many token ids as the clean prompt (1), got 2"),
        (id_prompt([1], corrupt="a"), '["corrupt"]', "token ids like the clean prompt"),
        (text_prompt(corrupt=[1]), '["corrupt"]', "a string like the clean prompt"),
        (text_prompt(answers="John"), '["answers"]', 'a list of strings, got "John"'),
        (text_prompt(answers=[]), '["answers"]', "at least one"),
        (text_prompt(answers=[3]), '["answers"][0]', "a string like the prompt, got 3"),
        (id_prompt([1], answers=3), '["answers"]', "a list of token ids or numbers, got 3"),
        (id_prompt([1], answers=["a"]), '["answers"][0]', "because the prompt is token ids"),
        (id_prompt([1], answers=[[1], ["a"]]), '["answers"][1][0]', 'a number, got "a"'),
        (id_prompt([1], answers=[True]), '["answers"][0]', "a number, got true"),
        (
            id_prompt([1], answers=[[1], [1, 2]]),
            '["answers"][1]',
            "shape of the first one [1], got [2]",
        ),
        (id_prompt([1], answers=[[1], 2]), '["answers"][1]', "shape of the first one [1], got []"),
        (id_prompt([1], answers=[[]]), '["answers"][0]', "an empty list"),
        (id_prompt([1], answers=[float("nan")]), '["answers"][0]', "a finite number"),
        (id_prompt([1], wrong_answers=[[[1]]]), '["wrong_answers"]', "lists 3 deep"),
        (
            id_prompt([1], wrong_answers=[-1]),
            '["wrong_answers"]',
            "token ids of at least 0",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_prompt_and_key(
    files: Files, prompt: Any, place: str, said: str
) -> None:
    before = id_prompt([1]) if isinstance(prompt["clean"], list) else text_prompt()
    with pytest.raises(PromptFileError) as caught:
        load_all(Model(word_tokenizer(**FULL)), files(before, prompt), prepend_bos=False)
    assert caught.value.place == f"prompts[1]{place}"
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"seq_labels": "a"}, '"seq_labels"'),
        ({"seq_labels": [1]}, '"seq_labels"'),
        ({"word_idxs": ["a"]}, '"word_idxs"'),
        ({"word_idxs": {"end": -1}}, '"word_idxs"["end"]'),
        ({"word_idxs": {"end": "1"}}, '"word_idxs"["end"]'),
    ],
)
def test_wrong_labels_are_named(files: Files, keys: dict[str, Any], place: str) -> None:
    with pytest.raises(PromptFileError) as caught:
        load_all(None, files(id_prompt([1]), **keys), prepend_bos=False)
    assert caught.value.place == place


def test_what_was_found_is_cut_where_it_is_long(files: Files) -> None:
    with pytest.raises(PromptFileError) as caught:
        load_all(None, files(id_prompt([1], answers="x" * 5000)))
    assert len(str(caught.value).replace(str(caught.value.file), "")) < 250


@pytest.mark.parametrize(
    ("prompt", "cfg", "place", "said"),
    [
        (id_prompt([9]), {"d_vocab": 9}, '["clean"]', "below 9, the size of the model's vocab"),
        (id_prompt([8], [9]), {"d_vocab": 9}, '["corrupt"]', "got 9"),
        (id_prompt([1], answers=[9]), {"d_vocab": 9}, '["answers"]', "below 9"),
        (
            id_prompt([1], answers=[3]),
            {"d_vocab": 9, "d_vocab_out": 3},
            '["answers"]',
            "decimal point",
        ),
        (
            id_prompt([1] * 5),
            {"n_ctx": 4, "positional_embedding_type": "standard"},
            '["clean"]',
            "at most 4 tokens",
        ),
    ],
)
def test_what_the_model_cannot_read_is_named(
    files: Files, prompt: Any, cfg: dict[str, Any], place: str, said: str
) -> None:
    with pytest.raises(PromptFileError) as caught:
        load_all(Model(**cfg), files(id_prompt([1]), prompt), prepend_bos=False)
    assert caught.value.place == f"prompts[1]{place}"
    assert said in str(caught.value)


def test_a_prompt_without_any_token_is_named(files: Files) -> None:
    path = files(text_prompt("", ""))
    with pytest.raises(PromptFileError, match="a text that is not blank"):
        load_all(Model(word_tokenizer(**FULL)), path, prepend_bos=False)


# A real model


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small GPT-2 from a folder, the way a user loads any model."""
    from transformer_lens.model_bridge import TransformerBridge

    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS),
        n_positions=16,
        n_embd=16,
        n_layer=2,
        n_head=2,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    word_tokenizer(bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    return TransformerBridge.boot_transformers(str(folder), device="cpu")


def test_a_padded_prompt_gives_the_logits_of_the_same_prompt_alone(
    files: Files, bridge: Any
) -> None:
    path = files(text_prompt("Mary and John gave to", "Tom and John gave to"), text_prompt())
    (batch,) = load_all(bridge, path)
    alone = torch.tensor([[BOS, ID["Mary"], ID["gave"], ID["to"]]])
    with torch.no_grad():
        together = bridge(batch.clean, attention_mask=batch.clean_attention_mask)
        wanted = bridge(alone)
    assert torch.allclose(together[1, -1], wanted[0, -1], atol=1e-5)


def test_a_bridge_tells_its_tokenizer_vocabulary_positions_and_device(
    files: Files, bridge: Any
) -> None:
    loader = load_all(bridge, files(text_prompt()))
    (batch,) = loader
    assert batch.clean.tolist() == [[BOS, ID["Mary"], ID["gave"], ID["to"]]]
    assert batch.clean.device == torch.device(bridge.cfg.device)
    with pytest.raises(PromptFileError, match=f"below {len(WORDS)}"):
        load_all(bridge, files(id_prompt([len(WORDS)])))
    with pytest.raises(PromptFileError, match="at most 16 tokens"):
        load_all(bridge, files(id_prompt([5] * 16)))

"""Prompt pairs, datasets and batches."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.data import Subset

from sp_widget.data.prompts import PromptDataLoader, PromptDataset, divergence_index
from sp_widget.errors import ArgumentError


def make_dataset(n_prompts: int = 5, seq_len: int = 4) -> PromptDataset:
    clean = torch.arange(n_prompts * seq_len).view(n_prompts, seq_len)
    corrupt = clean.clone()
    corrupt[:, 2] += 100
    answers = [torch.tensor([i]) for i in range(n_prompts)]
    wrong_answers = [torch.tensor([i + 50]) for i in range(n_prompts)]
    return PromptDataset(clean, corrupt, answers, wrong_answers)


# Dataset


def test_a_list_of_prompts_and_a_matrix_of_prompts_are_the_same_dataset() -> None:
    from_matrix = make_dataset()
    from_list = PromptDataset(
        list(from_matrix.clean_prompts),
        list(from_matrix.corrupt_prompts),
        from_matrix.answers,
        from_matrix.wrong_answers,
    )
    assert torch.equal(from_list.clean_prompts, from_matrix.clean_prompts)
    assert torch.equal(from_list.corrupt_prompts, from_matrix.corrupt_prompts)


def test_an_item_is_the_pair_with_its_answers() -> None:
    pair = make_dataset()[3]
    assert pair.clean.tolist() == [12, 13, 14, 15]
    assert pair.corrupt.tolist() == [12, 13, 114, 15]
    assert pair.answers.tolist() == [3]
    assert pair.wrong_answers.tolist() == [53]
    assert pair.clean_attention_mask is None
    assert pair.corrupt_attention_mask is None


def test_small_integer_dtypes_become_indices() -> None:
    """A uint8 tensor would act as a mask in an embedding look-up."""
    tokens = torch.tensor([[1, 2]], dtype=torch.uint8)
    answers = torch.tensor([[1]], dtype=torch.int32)
    dataset = PromptDataset(tokens, tokens, answers, answers)
    assert dataset.clean_prompts.dtype == torch.int64
    assert dataset.answers[0].dtype == torch.int64


def test_float_answers_keep_the_shape_of_the_output() -> None:
    targets = torch.rand(5, 4, 1)
    base = make_dataset()
    dataset = PromptDataset(base.clean_prompts, base.corrupt_prompts, targets, targets)
    (batch,) = PromptDataLoader(dataset, batch_size=5)
    assert isinstance(batch.answers, torch.Tensor)
    assert torch.equal(batch.answers, targets)


TOKENS = torch.tensor([[1, 2], [3, 4]])
ANSWERS = [torch.tensor([1]), torch.tensor([2])]


@pytest.mark.parametrize(
    ("changes", "argument", "said"),
    [
        ({"clean_prompts": "ab"}, "clean_prompts", "tensor"),
        ({"clean_prompts": TOKENS[0]}, "clean_prompts", "2 dimensions"),
        ({"clean_prompts": TOKENS.float()}, "clean_prompts", "torch.float32"),
        ({"clean_prompts": TOKENS.bool()}, "clean_prompts", "torch.bool"),
        ({"clean_prompts": TOKENS - 2}, "clean_prompts", "-1"),
        ({"clean_prompts": TOKENS[:0]}, "clean_prompts", "at least one prompt"),
        ({"clean_prompts": []}, "clean_prompts", "at least one prompt"),
        ({"clean_prompts": [[1, 2], [3, 4]]}, "clean_prompts[0]", "1-D tensor"),
        ({"clean_prompts": [TOKENS]}, "clean_prompts[0]", "1-D tensor"),
        ({"clean_prompts": [TOKENS[0], TOKENS[1, :1]]}, "clean_prompts[1]", "(2;"),
        ({"clean_prompts": [TOKENS[0], TOKENS[1].int()]}, "clean_prompts[1]", "torch.int64"),
        (
            {"clean_prompts": [TOKENS[0], TOKENS[1].to("meta")]},
            "clean_prompts[1]",
            "device cpu",
        ),
        ({"corrupt_prompts": TOKENS[:, :1]}, "corrupt_prompts", "(2, 2)"),
        ({"corrupt_prompts": TOKENS[:1]}, "corrupt_prompts", "(1, 2)"),
        ({"answers": ANSWERS[:1]}, "answers", "each of 2 prompts, got 1"),
        ({"answers": torch.tensor([1, 2])}, "answers", "2 dimensions"),
        ({"answers": None}, "answers", "None"),
        ({"answers": [1, 2]}, "answers[0]", "a tensor"),
        ({"answers": [ANSWERS[0], torch.tensor(2)]}, "answers[1]", "one dimension"),
        ({"answers": [ANSWERS[0], ANSWERS[1][:0]]}, "answers[1]", "one answer"),
        ({"answers": [ANSWERS[0], ANSWERS[1].float()]}, "answers[1]", "torch.int64"),
        ({"answers": [ANSWERS[0], ANSWERS[1].bool()]}, "answers[1]", "torch.bool"),
        ({"answers": [ANSWERS[0], torch.tensor([-3])]}, "answers[1]", "-3"),
        ({"answers": torch.ones(2, 1, 1, 1, dtype=torch.long)}, "answers[0]", "positions"),
        ({"answers": torch.tensor([[1.0], [torch.nan]])}, "answers[1]", "finite"),
        ({"answers": [torch.ones(1), torch.ones(2)]}, "answers[1]", "(1,)"),
        ({"wrong_answers": ANSWERS * 2}, "wrong_answers", "got 4"),
        ({"clean_attention_mask": [[1]]}, "clean_attention_mask", "a tensor"),
        ({"clean_attention_mask": torch.ones(2, 3)}, "clean_attention_mask", "(2, 3)"),
        (
            {"clean_attention_mask": torch.tensor([[1, 1], [2, 1]])},
            "clean_attention_mask",
            "[1, 2]",
        ),
        (
            {"corrupt_attention_mask": torch.tensor([[1, 1], [1, 0]])},
            "corrupt_attention_mask[1]",
            "on the left",
        ),
        (
            {"corrupt_attention_mask": torch.tensor([[1, 1], [0, 0]])},
            "corrupt_attention_mask[1]",
            "on the left",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    changes: dict[str, object], argument: str, said: str
) -> None:
    arguments: dict[str, object] = {
        "clean_prompts": TOKENS,
        "corrupt_prompts": TOKENS,
        "answers": ANSWERS,
        "wrong_answers": ANSWERS,
    }
    with pytest.raises(ArgumentError) as caught:
        PromptDataset(**{**arguments, **changes})  # type: ignore[arg-type]
    assert caught.value.argument == argument
    assert said in str(caught.value)


# Batches


def test_the_last_smaller_batch_is_kept() -> None:
    loader = PromptDataLoader(make_dataset(5), batch_size=2)
    assert len(loader) == 3
    batches = list(loader)
    assert [len(batch.clean) for batch in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([batch.clean for batch in batches]), make_dataset(5).clean_prompts)


def test_dropping_the_last_batch_says_how_many_prompts_are_left_out() -> None:
    with pytest.warns(UserWarning, match="last 2 of 5 prompts"):
        loader = PromptDataLoader(make_dataset(5), batch_size=3, drop_last=True)
    assert [len(batch.clean) for batch in loader] == [3]


def test_batches_and_keys_are_the_same_in_every_epoch() -> None:
    loader = PromptDataLoader(make_dataset(7), batch_size=3, shuffle=True)
    first, second = list(loader), list(loader)
    assert [b.key for b in first] == [b.key for b in second]
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.clean, other.clean)
        assert torch.equal(one.corrupt, other.corrupt)


def test_shuffling_permutes_the_prompts_and_follows_the_generator() -> None:
    def firsts(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        loader = PromptDataLoader(
            make_dataset(20), batch_size=20, shuffle=True, generator=generator
        )
        (batch,) = loader
        return [int(token) for token in batch.clean[:, 0]]

    assert firsts(0) == firsts(0)
    assert firsts(0) != firsts(1)
    assert sorted(firsts(0)) == list(range(0, 80, 4))


def test_iterating_leaves_the_global_random_state_alone() -> None:
    loader = PromptDataLoader(make_dataset(), batch_size=2)
    before = torch.random.get_rng_state()
    list(loader)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_batches_with_the_same_prompts_have_different_keys() -> None:
    tokens = torch.ones(6, 3, dtype=torch.long)
    answers = torch.ones(6, 1, dtype=torch.long)
    loader = PromptDataLoader(PromptDataset(tokens, tokens, answers, answers), batch_size=2)
    assert len({batch.key for batch in loader}) == 3


def test_the_key_depends_on_the_prompts() -> None:
    def key(first_token: int) -> int:
        tokens = torch.tensor([[first_token, 1]])
        answers = torch.tensor([[1]])
        (batch,) = PromptDataLoader(PromptDataset(tokens, tokens, answers, answers))
        return batch.key

    assert key(3) == key(3)
    assert key(3) != key(4)
    assert 0 <= key(3) < 2**63


def test_keys_are_the_same_in_another_process() -> None:
    """Python's own hash of a string is not."""
    tokens = torch.tensor([[3, 1], [2, 2]])
    here = [b.key for b in PromptDataLoader(PromptDataset(*[tokens] * 4), batch_size=1)]
    code = (
        "import torch; from sp_widget.data.prompts import *\n"
        "t = torch.tensor([[3, 1], [2, 2]])\n"
        "print([b.key for b in PromptDataLoader(PromptDataset(t, t, t, t), batch_size=1)])"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ".", "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert there.strip() == str(here)


def test_answers_of_unequal_number_stay_apart() -> None:
    base = make_dataset(4)
    answers = [torch.tensor([1, 2]), torch.tensor([3]), torch.tensor([4]), torch.tensor([5])]
    dataset = PromptDataset(base.clean_prompts, base.corrupt_prompts, answers, base.wrong_answers)
    unequal, equal = PromptDataLoader(dataset, batch_size=2)
    assert isinstance(unequal.answers, list)
    assert [answer.tolist() for answer in unequal.answers] == [[1, 2], [3]]
    assert isinstance(unequal.wrong_answers, torch.Tensor)
    assert unequal.wrong_answers.tolist() == [[50], [51]]
    assert isinstance(equal.answers, torch.Tensor)
    assert equal.answers.tolist() == [[4], [5]]


def test_a_batch_has_masks_only_if_it_is_padded() -> None:
    base = make_dataset(4)
    mask = torch.ones(4, 4)
    mask[3, 0] = 0
    dataset = PromptDataset(
        base.clean_prompts,
        base.corrupt_prompts,
        base.answers,
        base.wrong_answers,
        clean_attention_mask=mask,
        corrupt_attention_mask=torch.ones(4, 4),
    )
    assert dataset.corrupt_attention_mask is None
    full, padded = PromptDataLoader(dataset, batch_size=2)
    assert full.clean_attention_mask is None
    assert padded.clean_attention_mask is not None
    assert padded.clean_attention_mask.tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]
    assert padded.clean_attention_mask.dtype == torch.int64
    assert padded.corrupt_attention_mask is None


def test_a_subset_is_read_in_its_order() -> None:
    loader = PromptDataLoader(Subset(make_dataset(5), [4, 1, 2]), batch_size=2)
    assert [batch.clean[:, 0].tolist() for batch in loader] == [[16, 4], [8]]


def test_an_empty_subset_has_no_batches() -> None:
    loader = PromptDataLoader(Subset(make_dataset(5), []))
    assert len(loader) == 0
    assert list(loader) == []


def test_what_the_loader_is_told_can_be_read_off_it() -> None:
    dataset = make_dataset()
    loader = PromptDataLoader(
        dataset,
        4,
        2,
        batch_size=3,
        seq_labels=["a", "b", "c", "d"],
        word_idxs={"end": 3},
        prefix=torch.tensor([7, 8]),
    )
    assert loader.dataset is dataset
    assert loader.batch_size == 3
    assert (loader.seq_len, loader.diverge_idx) == (4, 2)
    assert loader.seq_labels == ["a", "b", "c", "d"]
    assert loader.word_idxs == {"end": 3}
    plain = PromptDataLoader(dataset)
    assert (plain.seq_len, plain.diverge_idx, plain.seq_labels, plain.word_idxs) == (
        None,
        0,
        None,
        {},
    )


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"prompt_dataset": [1, 2]}, "prompt_dataset"),
        ({"prompt_dataset": Subset([1, 2], [0])}, "prompt_dataset"),  # type: ignore[arg-type]
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"diverge_idx": -1}, "diverge_idx"),
        ({"seq_len": 5}, "seq_len"),
        ({"seq_len": 0}, "seq_len"),
        ({"seq_len": 4, "seq_labels": ["a"]}, "seq_labels"),
    ],
)
def test_what_does_not_fit_the_loader_is_refused_by_name(
    arguments: dict[str, object], argument: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        PromptDataLoader(**{"prompt_dataset": make_dataset(), **arguments})  # type: ignore[arg-type]
    assert caught.value.argument == argument


def test_token_positions_cannot_be_told_apart_where_prompts_are_padded() -> None:
    base = make_dataset(3)
    mask = torch.ones(3, 4)
    mask[1, 0] = 0
    dataset = PromptDataset(
        base.clean_prompts,
        base.corrupt_prompts,
        base.answers,
        base.wrong_answers,
        corrupt_attention_mask=mask,
    )
    with pytest.raises(ArgumentError, match="prompt 1 is padded"):
        PromptDataLoader(dataset, seq_len=4)
    assert PromptDataLoader(Subset(dataset, [0, 2]), seq_len=4).seq_len == 4


# Divergence


def test_divergence_is_the_first_position_at_which_any_pair_differs() -> None:
    clean = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 4]])
    corrupt = torch.tensor([[1, 2, 3, 9], [1, 2, 9, 9]])
    assert divergence_index(clean, corrupt) == 2


def test_pairs_of_equal_prompts_do_not_count_for_the_divergence() -> None:
    clean = torch.tensor([[1, 2, 3], [1, 2, 3]])
    corrupt = torch.tensor([[1, 2, 3], [1, 9, 3]])
    assert divergence_index(clean, corrupt) == 1
    assert divergence_index(clean, clean) == 3


def test_padding_differs_from_a_token_with_the_same_id() -> None:
    tokens = torch.tensor([[0, 0, 5]])
    mask = torch.tensor([[0, 1, 1]])
    assert divergence_index(tokens, tokens, mask, None) == 0
    assert divergence_index(tokens, tokens, mask, mask) == 3


def test_a_batch_carries_its_divergence() -> None:
    assert [b.batch_diverge_idx for b in PromptDataLoader(make_dataset(), batch_size=3)] == [2, 2]

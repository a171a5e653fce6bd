"""Train and test dataloaders from JSON files in auto-circuit's format."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.data import Subset

from sp_widget.data.device import known_device
from sp_widget.data.prompt_file import PromptFile, PromptFileError, check_one_kind, read_prompt_file
from sp_widget.data.prompt_tokens import (
    TokenPrompt,
    are_targets,
    bos_token,
    check_limits,
    model_limits,
    n_shared_tokens,
    padding_token,
    tokenize,
    with_bos,
    without_prefix,
)
from sp_widget.data.prompts import PromptDataLoader, PromptDataset, is_whole_number
from sp_widget.errors import ArgumentError, require_switches

_DEFAULT_SIZE = 128
"""Of the train set and of the test set, as in auto-circuit."""

_BOS_LABEL = "<|BOS|>"


def load_datasets_from_json(
    model: nn.Module | None,
    path: str | Path | Sequence[str | Path],
    device: torch.device | str | None = None,
    prepend_bos: bool = True,
    batch_size: int | tuple[int, int] = 32,
    train_test_size: tuple[int, int] | None = None,
    return_seq_length: bool = False,
    tail_divergence: bool = False,
    shuffle: bool = True,
    random_seed: int = 42,
    pad: bool = True,
) -> tuple[PromptDataLoader, PromptDataLoader]:
    """Read prompt pairs from JSON and split them into a train and a test dataloader.

    The format is auto-circuit's::

        {
          "seq_labels": ["When", "Mary", ...],      optional: a label for each token position
          "word_idxs": {"IO": 1, "S1": 3, ...},     optional: token positions of named words
          "prompts": [
            {"clean": "When Mary and", "corrupt": "When Tom and",
             "answers": [" John"], "wrong_answers": [" Mary"]},
            ...
          ]
        }

    Prompts are strings with strings as answers, each of a single token, or lists of token ids
    with token ids as answers. Beside token ids, answers may be numbers with a decimal point in
    (nested) lists of the shape of the output of one prompt: the targets of a regression.

    With several files the first one gives `seq_labels` and `word_idxs`, and all give prompts.
    Prompts are shuffled once, before
    the split, in the same order as auto-circuit's for the same seed; the loaders keep that order
    and hold a last, smaller batch too. Neither the global random state nor the tokenizer's
    settings are changed.

    Only BOS is ever added to a prompt, never another special token, and none to an answer. The
    last token of the text is what the answers follow.

    Args:
        model: Gives the tokenizer (`model.tokenizer`), the size of the vocabulary and the
            default device. May be `None` for token ids.
        path: A file or several.
        device: Where the tensors are put. `None`: the model's device, or the CPU without model.
        prepend_bos: Put BOS before each prompt that does not begin with it. When it was added,
            `word_idxs` move by one and `seq_labels` get a first label. With `False` no BOS is
            added, also not by the tokenizer.
        batch_size: Prompts in a batch, of both loaders or as (train, test).
        train_test_size: Numbers of prompts (train, test); either may be 0, which makes an empty
            loader. `None`: 128 each, or half of the prompts each where there are fewer. The test
            prompts follow the train prompts. If the file holds too few for the
            test set, it gets what is left, with a warning.
        return_seq_length: Set `seq_len` of the loaders. All prompts must then have the same
            number of tokens. For token ids of equal length `seq_len` is set anyway.
        tail_divergence: Take the tokens that all prompts, clean and corrupt, begin with out of
            them: a training step then runs the rest only. All prompts must have the same number
            of tokens. The loaders keep them as `prefix` and their number as `diverge_idx`;
            `seq_labels` and `seq_len` are of the rest, `word_idxs` stay positions in whole
            prompts. At least one token of each prompt is left.
        shuffle: Shuffle before the split.
        random_seed: Seed of that shuffle.
        pad: Pad shorter prompts on the left to the length of the longest, clean and corrupt
            alike, and keep attention masks. With `False` all must have the same length.

    Returns:
        The train and the test dataloader.

    Raises:
        PromptFileError: If a file is not as described, or not there; it names file, prompt and
            key.
        ArgumentError: If an argument is wrong, or does not fit the file or the model.
    """
    require_switches(
        prepend_bos=prepend_bos,
        return_seq_length=return_seq_length,
        tail_divergence=tail_divergence,
        shuffle=shuffle,
        pad=pad,
    )
    if not is_whole_number(random_seed):
        raise ArgumentError("random_seed", "a whole number", random_seed)
    # A patchable model is no module; this floor does not know its class.
    if model is not None and not (isinstance(model, nn.Module) or hasattr(model, "tokenizer")):
        raise ArgumentError("model", "a model or None", model)
    paths = _paths(path)
    train_batch_size, test_batch_size = batch_sizes(batch_size)
    if train_test_size is not None:
        _check_sizes(train_test_size)
    files = [read_prompt_file(file) for file in paths]
    prompts = [prompt for file in files for prompt in file.prompts]
    check_one_kind(prompts)
    if shuffle:
        random.Random(random_seed).shuffle(prompts)
    n_train, n_test = (
        _share(len(prompts)) if train_test_size is None else _split(train_test_size, len(prompts))
    )
    prompts = prompts[: n_train + n_test]

    tokenizer: Any = getattr(model, "tokenizer", None)
    limits = model_limits(model)
    token_prompts = tokenize(prompts, tokenizer, limits)
    shift = 0
    if prepend_bos:
        bos_id = bos_token(tokenizer, limits)
        shift = _label_shift(files[0], token_prompts, bos_id)
        token_prompts = [with_bos(prompt, bos_id) for prompt in token_prompts]
    check_limits(token_prompts, limits)

    seq_len = _common_length(
        token_prompts, required_by=_length_argument(return_seq_length, pad, tail_divergence)
    )
    if prompts[0].is_text and not return_seq_length:
        seq_len = None
    seq_labels = _shifted_labels(files[0], shift, seq_len)
    word_idxs = {word: position + shift for word, position in files[0].word_idxs.items()}
    device = _device(device, model)
    n_shared = n_shared_tokens(token_prompts) if tail_divergence else 0
    prefix = torch.tensor(token_prompts[0].clean[:n_shared], device=device) if n_shared else None
    token_prompts = [without_prefix(prompt, n_shared) for prompt in token_prompts]
    dataset = _dataset(token_prompts, padding_token(tokenizer, limits), device)
    train_loader, test_loader = (
        PromptDataLoader(
            Subset(dataset, indices),
            seq_len=None if seq_len is None else seq_len - n_shared,
            diverge_idx=n_shared,
            batch_size=size,
            seq_labels=None if seq_labels is None else seq_labels[n_shared:],
            word_idxs=word_idxs,
            prefix=prefix,
        )
        for indices, size in (
            (range(n_train), train_batch_size),
            (range(n_train, n_train + n_test), test_batch_size),
        )
    )
    return train_loader, test_loader


def _paths(path: object) -> list[Path]:
    paths = [path] if isinstance(path, (str, Path)) else path
    if not isinstance(paths, Sequence) or not all(isinstance(p, (str, Path)) for p in paths):
        raise ArgumentError("path", "a path or a list of paths", path)
    if not paths:
        raise ArgumentError("path", "at least one path", path)
    return [Path(p) for p in paths]


def batch_sizes(batch_size: object) -> tuple[int, int]:
    """Return the batch sizes (train, test) that one number or two say."""
    sizes = batch_size if isinstance(batch_size, (tuple, list)) else (batch_size, batch_size)
    if len(sizes) != 2 or not all(is_whole_number(size) and size >= 1 for size in sizes):
        raise ArgumentError(
            "batch_size", "a whole number of at least 1, or two of them (train, test)", batch_size
        )
    return sizes[0], sizes[1]


def _check_sizes(sizes: object) -> None:
    if (
        not isinstance(sizes, (tuple, list))
        or len(sizes) != 2
        or not all(is_whole_number(size) and size >= 0 for size in sizes)
        or sum(sizes) == 0
    ):
        raise ArgumentError(
            "train_test_size", "two whole numbers (train, test) of at least 0, not both 0", sizes
        )


def _label_shift(first: PromptFile, prompts: Sequence[TokenPrompt], bos_id: int) -> int:
    """By how much BOS moves the positions that `seq_labels` and `word_idxs` speak of."""
    starts = [ids[:1] for prompt in prompts for _, ids in prompt.sides()]
    n_with_bos = starts.count([bos_id])
    has_labels = first.seq_labels is not None or first.word_idxs
    if has_labels and 0 < n_with_bos < len(starts):
        raise PromptFileError(
            first.path,
            '"prompts"',
            "every prompt to begin with BOS, or none, because seq_labels and word_idxs cannot "
            "fit both",
            f"{n_with_bos} of {len(starts)} with BOS",
        )
    return 0 if n_with_bos else 1


def _shifted_labels(first: PromptFile, shift: int, seq_len: int | None) -> list[str] | None:
    labels = first.seq_labels
    if labels is None:
        return None
    if seq_len is not None and len(labels) + shift != seq_len:
        raise PromptFileError(
            first.path,
            '"seq_labels"',
            f"{seq_len - shift} labels, one for each token position (without the BOS that is "
            "prepended)"
            if shift
            else f"{seq_len} labels, one for each token position",
            str(len(labels)),
        )
    return [_BOS_LABEL] * shift + labels


def _share(n_prompts: int) -> tuple[int, int]:
    """How many prompts are for training, and how many for testing, where nobody says it."""
    n_test = min(n_prompts // 2, _DEFAULT_SIZE)
    return min(n_prompts - n_test, _DEFAULT_SIZE), n_test


def _split(train_test_size: tuple[int, int], n_prompts: int) -> tuple[int, int]:
    n_train, n_test = train_test_size
    if n_prompts < n_train or (n_test and n_prompts == n_train):
        raise ArgumentError(
            "train_test_size",
            f"at most {n_prompts - 1 if n_test else n_prompts} train prompts, because there are "
            f"{n_prompts} prompts in all{' and a test set was asked for' if n_test else ''}",
            train_test_size,
        )
    left = n_prompts - n_train
    if left < n_test:
        warnings.warn(
            f"train_test_size asks for {n_train} train and {n_test} test prompts, but there are "
            f"only {n_prompts} prompts: {left} are used for testing",
            stacklevel=3,
        )
    return n_train, min(n_test, left)


def _device(device: torch.device | str | None, model: nn.Module | None) -> torch.device:
    if device is not None:
        return known_device(device)
    device = getattr(model, "device", None)
    if device is None:
        device = getattr(getattr(model, "cfg", None), "device", None)
    if device is None and model is not None:
        device = next((parameter.device for parameter in model.parameters()), None)
    return torch.device("cpu" if device is None else device)


def _length_argument(return_seq_length: bool, pad: bool, tail_divergence: bool) -> str | None:
    if return_seq_length:
        return "return_seq_length=True"
    if tail_divergence:
        return "tail_divergence=True"
    return None if pad else "pad=False"


def _common_length(prompts: Sequence[TokenPrompt], required_by: str | None) -> int | None:
    """The number of tokens of every prompt, or `None` if it is not the same for all."""
    length = len(prompts[0].clean)
    for prompt in prompts:
        for key, ids in prompt.sides():
            if len(ids) == length:
                continue
            if required_by is None:
                return None
            first = prompts[0].source
            prompt.source.fail(
                key,
                f"{length} tokens like prompts[{first.index}] of {first.file}, because of "
                f"{required_by}",
                str(len(ids)),
            )
    return length


def left_pad(
    rows: list[list[int]], length: int, pad_id: int, device: torch.device
) -> tuple[Int[Tensor, "n_prompts seq"], Int[Tensor, "n_prompts seq"]]:
    """Return rows of token ids padded to this length, and masks: 1 at tokens, 0 at padding."""
    tokens = [[pad_id] * (length - len(row)) + row for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)


def _dataset(prompts: Sequence[TokenPrompt], pad_id: int, device: torch.device) -> PromptDataset:
    unequal = [prompt for prompt in prompts if len(prompt.clean) != len(prompt.corrupt)]
    if unequal:
        first = unequal[0]
        warnings.warn(
            f"in {len(unequal)} of {len(prompts)} pairs the clean and the corrupt prompt differ "
            f"in length; they are aligned at the last token, and the shorter one has padding "
            f"where the longer one has tokens, which patching then reads. The first is in "
            f"{first.source.file}, prompts[{first.source.index}]: {len(first.clean)} and "
            f"{len(first.corrupt)} tokens",
            stacklevel=3,
        )
    length = max(len(ids) for prompt in prompts for _, ids in prompt.sides())
    clean, clean_mask = left_pad([p.clean for p in prompts], length, pad_id, device)
    corrupt, corrupt_mask = left_pad([p.corrupt for p in prompts], length, pad_id, device)
    dtype = torch.get_default_dtype() if are_targets(prompts) else torch.long
    return PromptDataset(
        clean,
        corrupt,
        [torch.tensor(p.answers, dtype=dtype, device=device) for p in prompts],
        [torch.tensor(p.wrong_answers, dtype=dtype, device=device) for p in prompts],
        clean_attention_mask=clean_mask,
        corrupt_attention_mask=corrupt_mask,
    )

"""Pairs of clean and corrupt prompts, and the batches that training and evaluation read.

Names and shapes follow auto-circuit (Miller, Chughtai & Saunders 2024).

Padding is always on the left, so that the last position is the last token of every prompt.
An attention mask holds 1 at a token and 0 at padding; it is `None` where nothing is padded.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from sp_widget.data.tails import behind
from sp_widget.errors import ArgumentError, require_switches
from sp_widget.types import BatchKey

Answers: TypeAlias = Tensor | list[Tensor]
"""One tensor when every prompt of a batch has answers of the same shape, else one per prompt."""

_INDEX_BITS = 23
_DIGEST_BYTES = 5


@dataclass(frozen=True, eq=False)
class PromptPair:
    """A clean prompt, its corrupt counterpart, and the answers to the clean one.

    Attributes:
        clean: Token ids `[seq]` on which the model shows the behaviour under study.
        corrupt: Token ids `[seq]` that differ in what decides the answer.
        answers: Token ids `[n_answers]` of right completions, `[positions, n_answers]` when
            several positions of the output count; or floats of the shape of the output of one
            prompt, the targets of a regression.
        wrong_answers: Likewise for wrong completions.
        clean_attention_mask: `[seq]`, 1 at tokens and 0 at left padding; `None`: no padding.
        corrupt_attention_mask: Likewise for the corrupt prompt.
    """

    clean: Int[Tensor, " seq"]
    corrupt: Int[Tensor, " seq"]
    answers: Shaped[Tensor, "..."]
    wrong_answers: Shaped[Tensor, "..."]
    clean_attention_mask: Int[Tensor, " seq"] | None = None
    corrupt_attention_mask: Int[Tensor, " seq"] | None = None


@dataclass(frozen=True, eq=False)
class PromptPairBatch:
    """Prompt pairs that go through the model together.

    Attributes:
        key: Identifies the batch within its dataloader. It depends on the prompts and on the
            place of the batch only, so it is the same in every epoch and every process.
        batch_diverge_idx: The first position at which any clean prompt differs from its
            corrupt prompt; `seq` when none does.
        clean: Token ids `[batch, seq]`.
        corrupt: Token ids `[batch, seq]`.
        answers: `[batch, n_answers]`, or one tensor a prompt when their numbers differ.
            See `PromptPair` for the other shapes.
        wrong_answers: Likewise; may be a list where `answers` is not, and the reverse.
        clean_attention_mask: `[batch, seq]`, 1 at tokens and 0 at left padding; `None` when
            no clean prompt of this batch is padded.
        corrupt_attention_mask: Likewise for the corrupt prompts.
        prefix: Token ids `[prefix]` that come before those of every prompt; `None`: none do. The
            prompts know it: a patchable model that is given them runs them behind it.
    """

    key: BatchKey
    batch_diverge_idx: int
    clean: Int[Tensor, "batch seq"]
    corrupt: Int[Tensor, "batch seq"]
    answers: Answers
    wrong_answers: Answers
    clean_attention_mask: Int[Tensor, "batch seq"] | None = None
    corrupt_attention_mask: Int[Tensor, "batch seq"] | None = None
    prefix: Int[Tensor, " prefix"] | None = None


class PromptDataset(Dataset[PromptPair]):
    """Prompt pairs of one common length, with their answers.

    Args:
        clean_prompts: Token ids, `[n_prompts, seq]` or a list of 1-D tensors of equal length.
        corrupt_prompts: Token ids of the same shape.
        answers: One tensor a prompt: token ids `[n_answers]` (numbers may differ between
            prompts) or `[positions, n_answers]`; or, for regression tasks, floats of the shape
            of the output of one prompt. A single tensor is read along its first dimension.
        wrong_answers: Likewise.
        clean_attention_mask: `[n_prompts, seq]`, 1 at tokens and 0 at left padding. `None`: no
            clean prompt is padded.
        corrupt_attention_mask: Likewise for the corrupt prompts.

    Raises:
        ArgumentError: If a type, shape, length, dtype or device does not fit; it names the
            argument, and the prompt where there is one to blame.
    """

    def __init__(
        self,
        clean_prompts: Tensor | Sequence[Tensor],
        corrupt_prompts: Tensor | Sequence[Tensor],
        answers: Tensor | Sequence[Tensor],
        wrong_answers: Tensor | Sequence[Tensor],
        *,
        clean_attention_mask: Tensor | None = None,
        corrupt_attention_mask: Tensor | None = None,
    ) -> None:
        self.clean_prompts = _token_matrix("clean_prompts", clean_prompts)
        self.corrupt_prompts = _token_matrix("corrupt_prompts", corrupt_prompts)
        if self.corrupt_prompts.shape != self.clean_prompts.shape:
            raise ArgumentError(
                "corrupt_prompts",
                f"the shape of clean_prompts {tuple(self.clean_prompts.shape)}",
                tuple(self.corrupt_prompts.shape),
            )
        device = self.clean_prompts.device
        if self.corrupt_prompts.device != device:
            raise ArgumentError(
                "corrupt_prompts",
                f"the device of clean_prompts ({device})",
                self.corrupt_prompts.device,
            )
        n_prompts = len(self.clean_prompts)
        self.answers = _answer_list("answers", answers, n_prompts, device)
        self.wrong_answers = _answer_list("wrong_answers", wrong_answers, n_prompts, device)
        self.clean_attention_mask = _left_padding_mask(
            "clean_attention_mask", clean_attention_mask, self.clean_prompts
        )
        self.corrupt_attention_mask = _left_padding_mask(
            "corrupt_attention_mask", corrupt_attention_mask, self.corrupt_prompts
        )

    def __len__(self) -> int:
        return len(self.clean_prompts)

    def __getitem__(self, index: int) -> PromptPair:
        clean_mask, corrupt_mask = self.clean_attention_mask, self.corrupt_attention_mask
        return PromptPair(
            self.clean_prompts[index],
            self.corrupt_prompts[index],
            self.answers[index],
            self.wrong_answers[index],
            None if clean_mask is None else clean_mask[index],
            None if corrupt_mask is None else corrupt_mask[index],
        )

    def __repr__(self) -> str:
        n_prompts, seq_len = self.clean_prompts.shape
        return f"PromptDataset({n_prompts} prompts of {seq_len} tokens)"


class PromptDataLoader(DataLoader[PromptPair]):
    """Batches of prompt pairs, the same batches in the same order each time it is iterated.

    What is prepared once per batch (clean logits, patch activations) can therefore be found
    again by the batch's key. Iterating draws no random numbers.

    Args:
        prompt_dataset: A `PromptDataset`, or a `torch.utils.data.Subset` of one.
        seq_len: The length of the prompts, to be passed to `patchable_model` for edges at
            single token positions; `None` when positions do not correspond between prompts.
        diverge_idx: Number of leading tokens, common to all prompts, that were removed from
            them: those of `prefix`. Token positions in whole prompts are larger by it.
        batch_size: Prompt pairs in a batch. The last batch holds what is left.
        shuffle: Permute the prompts, once, when the loader is made.
        seq_labels: A label for each token position.
        word_idxs: Name of a word to its token position in whole prompts.
        drop_last: Leave out a last batch that is smaller than the others; a warning says how
            many prompts that concerns.
        generator: Source of the permutation for `shuffle`. Default: torch's global one.
        prefix: The removed tokens `[diverge_idx]`. Their keys and values are computed before the
            training and used in every step; their edges are never patched.

    Raises:
        ArgumentError: If an argument does not fit the dataset.
    """

    def __init__(
        self,
        prompt_dataset: PromptDataset | Subset[PromptPair],
        seq_len: int | None = None,
        diverge_idx: int = 0,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seq_labels: Sequence[str] | None = None,
        word_idxs: Mapping[str, int] | None = None,
        drop_last: bool = False,
        generator: torch.Generator | None = None,
        prefix: Int[Tensor, " prefix"] | None = None,
    ) -> None:
        n_prompts = _count_prompts(prompt_dataset)
        if not is_whole_number(batch_size) or batch_size < 1:
            raise ArgumentError("batch_size", "a whole number of at least 1", batch_size)
        if not is_whole_number(diverge_idx) or not 0 <= diverge_idx < 2**63:
            wanted = "a whole number of at least 0 and of 64 bits"
            raise ArgumentError("diverge_idx", wanted, diverge_idx)
        require_switches(shuffle=shuffle, drop_last=drop_last)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ArgumentError("generator", "a torch.Generator or None", generator)
        _check_labels(seq_labels, word_idxs)
        _check_prefix(prefix, diverge_idx, prompt_dataset)
        if seq_len is not None:
            _check_seq_len(seq_len, prompt_dataset)
            if seq_labels is not None and len(seq_labels) != seq_len:
                raise ArgumentError(
                    "seq_labels", f"one label for each of {seq_len} positions", list(seq_labels)
                )
        left_out = n_prompts % batch_size if drop_last else 0
        if left_out:
            warnings.warn(
                f"drop_last leaves out the last {left_out} of {n_prompts} prompts, because "
                f"they do not fill a batch of {batch_size}",
                stacklevel=2,
            )
        order = torch.randperm(n_prompts, generator=generator).tolist() if shuffle else None
        super().__init__(
            prompt_dataset,
            batch_size=batch_size,
            sampler=range(n_prompts) if order is None else order,
            collate_fn=list,
            drop_last=drop_last,
            # A DataLoader draws a seed for its workers whenever it is iterated; from a generator
            # of its own, so that the global random state does not depend on who read the data.
            generator=torch.Generator(),
        )
        self.seq_len = seq_len
        self.diverge_idx = diverge_idx
        self.prefix = prefix
        self.seq_labels = None if seq_labels is None else list(seq_labels)
        self.word_idxs = dict(word_idxs or {})

    def __iter__(self) -> Iterator[PromptPairBatch]:  # type: ignore[override]
        for index, pairs in enumerate(super().__iter__()):
            yield _collate(pairs, index, self.prefix)

    @property
    def n_prompts(self) -> int:
        """Prompts of one pass, before `drop_last` leaves any out."""
        return len(self.sampler)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return (
            f"PromptDataLoader({self.n_prompts} prompts in {len(self)} batches "
            f"of up to {self.batch_size})"
        )


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether the value is an int and not one of the two that are called True and False."""
    return isinstance(value, int) and not isinstance(value, bool)


def divergence_index(
    clean: Int[Tensor, "batch seq"],
    corrupt: Int[Tensor, "batch seq"],
    clean_attention_mask: Int[Tensor, "batch seq"] | None = None,
    corrupt_attention_mask: Int[Tensor, "batch seq"] | None = None,
) -> int:
    """The first position at which any clean prompt differs from its corrupt prompt.

    A token differs from padding even if the padding uses the same token id. Where no prompt
    differs, the result is `seq`. (In auto-circuit a pair of equal prompts makes the result 0;
    here such a pair does not count.)
    """
    differs = clean != corrupt
    if clean_attention_mask is not None or corrupt_attention_mask is not None:
        ones = torch.ones_like(clean)
        clean_mask = ones if clean_attention_mask is None else clean_attention_mask
        corrupt_mask = ones if corrupt_attention_mask is None else corrupt_attention_mask
        differs = differs | (clean_mask != corrupt_mask)
    positions = differs.any(dim=0).nonzero()
    return int(positions[0]) if len(positions) else clean.shape[1]


def _collate(pairs: Sequence[PromptPair], index: int, prefix: Tensor | None) -> PromptPairBatch:
    clean = torch.stack([pair.clean for pair in pairs])
    corrupt = torch.stack([pair.corrupt for pair in pairs])
    clean_mask = _stack_masks([pair.clean_attention_mask for pair in pairs])
    corrupt_mask = _stack_masks([pair.corrupt_attention_mask for pair in pairs])
    return PromptPairBatch(
        key=_batch_key(index, clean, corrupt),
        batch_diverge_idx=divergence_index(clean, corrupt, clean_mask, corrupt_mask),
        clean=clean if prefix is None else behind(prefix, clean),
        corrupt=corrupt if prefix is None else behind(prefix, corrupt),
        answers=_stack_answers([pair.answers for pair in pairs]),
        wrong_answers=_stack_answers([pair.wrong_answers for pair in pairs]),
        clean_attention_mask=clean_mask,
        corrupt_attention_mask=corrupt_mask,
        prefix=prefix,
    )


def _stack_answers(answers: list[Tensor]) -> Answers:
    if all(answer.shape == answers[0].shape for answer in answers):
        return torch.stack(answers)
    return answers


def _stack_masks(masks: Sequence[Tensor | None]) -> Tensor | None:
    rows = [mask for mask in masks if mask is not None]
    # A dataset has a mask for all of its prompts or for none of them.
    if not rows:
        return None
    stacked = torch.stack(rows)
    return None if bool(stacked.all()) else stacked


def _batch_key(index: int, clean: Tensor, corrupt: Tensor) -> BatchKey:
    # Python's own hash() of text changes from process to process; the index in the low bits keeps
    # batches with the same prompts apart. Together they fit a signed 64-bit integer.
    content = repr((clean.tolist(), corrupt.tolist())).encode()
    digest = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big") << _INDEX_BITS | index


def _is_integer_dtype(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


def _token_matrix(name: str, prompts: Tensor | Sequence[Tensor]) -> Int[Tensor, "n_prompts seq"]:
    if isinstance(prompts, Tensor):
        matrix = prompts
        if matrix.ndim != 2:
            raise ArgumentError(name, "2 dimensions [n_prompts, seq]", tuple(matrix.shape))
    elif isinstance(prompts, (list, tuple)):
        matrix = _stack_prompts(name, prompts)
    else:
        raise ArgumentError(name, "a 2-D tensor or a list of 1-D tensors", prompts)
    if 0 in matrix.shape:
        raise ArgumentError(name, "at least one prompt of one token", tuple(matrix.shape))
    if not _is_integer_dtype(matrix.dtype):
        raise ArgumentError(name, "token ids of an integer dtype", matrix.dtype)
    if int(matrix.min()) < 0:
        raise ArgumentError(name, "token ids of at least 0", int(matrix.min()))
    # A uint8 tensor used as an index would act as a mask.
    return matrix.long()


def _stack_prompts(name: str, prompts: Sequence[Tensor]) -> Tensor:
    if len(prompts) == 0:
        raise ArgumentError(name, "at least one prompt", prompts)
    for i, prompt in enumerate(prompts):
        if not isinstance(prompt, Tensor):
            raise ArgumentError(f"{name}[{i}]", "a 1-D tensor", prompt)
        if prompt.ndim != 1:
            raise ArgumentError(f"{name}[{i}]", "a 1-D tensor", tuple(prompt.shape))
        if len(prompt) != len(prompts[0]):
            raise ArgumentError(
                f"{name}[{i}]",
                f"as many tokens as {name}[0] ({len(prompts[0])}; shorter prompts are padded on "
                "the left, with an attention mask)",
                len(prompt),
            )
        if prompt.dtype != prompts[0].dtype:
            raise ArgumentError(f"{name}[{i}]", f"dtype {prompts[0].dtype}", prompt.dtype)
        if prompt.device != prompts[0].device:
            raise ArgumentError(f"{name}[{i}]", f"device {prompts[0].device}", prompt.device)
    return torch.stack(list(prompts))


def _answer_list(
    name: str, answers: Tensor | Sequence[Tensor], n_prompts: int, device: torch.device
) -> list[Tensor]:
    if isinstance(answers, Tensor) and answers.ndim < 2:
        raise ArgumentError(
            name, "at least 2 dimensions [n_prompts, n_answers]", tuple(answers.shape)
        )
    if not isinstance(answers, (Tensor, list, tuple)):
        raise ArgumentError(name, "one tensor for each prompt", answers)
    if len(answers) != n_prompts:
        raise ArgumentError(name, f"one entry for each of {n_prompts} prompts", len(answers))
    for i, answer in enumerate(answers):
        place = f"{name}[{i}]"
        if not isinstance(answer, Tensor):
            raise ArgumentError(place, "a tensor", answer)
        if answer.layout != torch.strided:
            raise ArgumentError(place, "a dense tensor", answer.layout)
        if answer.ndim == 0 or answer.numel() == 0:
            raise ArgumentError(
                place, "a tensor with at least one dimension and one answer", tuple(answer.shape)
            )
        if answer.device != device:
            raise ArgumentError(place, f"the device of the prompts ({device})", answer.device)
        if answer.dtype.is_floating_point:
            if not bool(answer.isfinite().all()):
                raise ArgumentError(place, "finite numbers", answer.tolist())
            if answer.shape != answers[0].shape:
                raise ArgumentError(
                    place,
                    f"the shape of {name}[0] {tuple(answers[0].shape)}, which is that of the "
                    "output of one prompt",
                    tuple(answer.shape),
                )
        elif not _is_integer_dtype(answer.dtype):
            raise ArgumentError(place, "token ids (integers) or targets (floats)", answer.dtype)
        elif answer.ndim > 2:
            raise ArgumentError(
                place, "token ids [n_answers] or [positions, n_answers]", tuple(answer.shape)
            )
        elif int(answer.min()) < 0:
            raise ArgumentError(place, "token ids of at least 0", answer.tolist())
        if answer.dtype.is_floating_point != answers[0].dtype.is_floating_point:
            raise ArgumentError(place, f"the kind of {name}[0] ({answers[0].dtype})", answer.dtype)
    return [a if a.dtype.is_floating_point else a.long() for a in answers]


def _left_padding_mask(name: str, mask: Tensor | None, prompts: Tensor) -> Tensor | None:
    if mask is None:
        return None
    if not isinstance(mask, Tensor):
        raise ArgumentError(name, "a tensor or None", mask)
    if mask.shape != prompts.shape:
        raise ArgumentError(
            name, f"the shape of the prompts {tuple(prompts.shape)}", tuple(mask.shape)
        )
    if mask.device != prompts.device:
        raise ArgumentError(name, f"the device of the prompts ({prompts.device})", mask.device)
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise ArgumentError(
            name, "only 0 (padding) and 1 (token)", sorted(set(mask.flatten().tolist()))
        )
    mask = mask.long()
    is_left_padded = (mask.diff(dim=1) >= 0).all(dim=1) & (mask[:, -1] == 1)
    if not bool(is_left_padded.all()):
        i = int((~is_left_padded).nonzero()[0])
        raise ArgumentError(f"{name}[{i}]", "padding on the left only", mask[i].tolist())
    return None if bool(mask.all()) else mask


def _count_prompts(prompt_dataset: object) -> int:
    inner = prompt_dataset
    while isinstance(inner, Subset):
        inner = inner.dataset
    if not isinstance(inner, PromptDataset):
        raise ArgumentError("prompt_dataset", "a PromptDataset or a Subset of one", prompt_dataset)
    return len(prompt_dataset)  # type: ignore[arg-type]


def _check_labels(seq_labels: object, word_idxs: object) -> None:
    good = isinstance(seq_labels, Sequence) and all(isinstance(each, str) for each in seq_labels)
    if seq_labels is not None and (not good or isinstance(seq_labels, str)):
        raise ArgumentError("seq_labels", "a list of strings or None", seq_labels)
    if word_idxs is None:
        return
    if not isinstance(word_idxs, Mapping) or not all(isinstance(word, str) for word in word_idxs):
        raise ArgumentError("word_idxs", "a dictionary from words to positions", word_idxs)
    for word, position in word_idxs.items():
        if not is_whole_number(position) or position < 0:
            raise ArgumentError(f"word_idxs[{word!r}]", "a token position", position)


def _check_seq_len(seq_len: int, prompt_dataset: PromptDataset | Subset[PromptPair]) -> None:
    if not is_whole_number(seq_len) or seq_len < 1:
        raise ArgumentError("seq_len", "None or a whole number of at least 1", seq_len)
    for i in range(len(prompt_dataset)):
        pair = prompt_dataset[i]
        if len(pair.clean) != seq_len:
            raise ArgumentError("seq_len", f"the prompts' length ({len(pair.clean)})", seq_len)
        if _is_padded(pair):
            raise ArgumentError(
                "seq_len", f"None, because prompt {i} is padded to its length", seq_len
            )


def _check_prefix(
    prefix: object, diverge_idx: int, prompt_dataset: PromptDataset | Subset[PromptPair]
) -> None:
    if prefix is None:
        if diverge_idx:
            wanted = f"the {diverge_idx} tokens that diverge_idx says were removed from all prompts"
            raise ArgumentError("prefix", wanted, None)
        return
    if not isinstance(prefix, Tensor) or prefix.ndim != 1 or not _is_integer_dtype(prefix.dtype):
        raise ArgumentError("prefix", "a 1-D tensor of token ids or None", prefix)
    if len(prefix) != diverge_idx or diverge_idx == 0:
        wanted = f"as many tokens as diverge_idx says ({diverge_idx})"
        raise ArgumentError("prefix", wanted if diverge_idx else "None", len(prefix))
    for i in range(len(prompt_dataset)):
        pair = prompt_dataset[i]
        if pair.clean.device != prefix.device:
            raise ArgumentError(
                "prefix", f"the prompts' device ({pair.clean.device})", prefix.device
            )
        if _is_padded(pair):
            raise ArgumentError("prefix", f"None, because prompt {i} is padded", prefix)


def _is_padded(pair: PromptPair) -> bool:
    masks = (pair.clean_attention_mask, pair.corrupt_attention_mask)
    return any(mask is not None and not bool(mask.all()) for mask in masks)

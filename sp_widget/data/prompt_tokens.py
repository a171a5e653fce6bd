"""From checked prompts to token ids within what the model can take."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from sp_widget.checked_json import json_text as shown
from sp_widget.data.prompt_file import Nested, Prompt, has_float, nested_shape, numbers
from sp_widget.errors import ArgumentError

_TABLES_OF_ROTATIONS = ("TransformerLensNative", "GPTJForCausalLM")

_TARGETS_HINT = "the targets of a regression are written with a decimal point"


@dataclass(frozen=True)
class TokenPrompt:
    """A prompt whose texts have become token ids."""

    source: Prompt
    clean: list[int]
    corrupt: list[int]
    answers: list[Nested]
    wrong_answers: list[Nested]

    def sides(self) -> Iterator[tuple[str, list[int]]]:
        yield '["clean"]', self.clean
        yield '["corrupt"]', self.corrupt


@dataclass(frozen=True)
class ModelLimits:
    """What the model's embeddings hold; `None` where it is not known."""

    d_vocab: int | None
    d_vocab_out: int | None
    n_positions: int | None


def model_limits(model: nn.Module | None) -> ModelLimits:
    """Read the limits off the model's configuration."""
    cfg = getattr(model, "cfg", None)

    def positive(name: str) -> int | None:
        value = getattr(cfg, name, None)
        return value if isinstance(value, int) and value > 0 else None

    d_vocab = positive("d_vocab")
    # Where there is a table, of learnt positions or of rotations, it ends; other kinds go on.
    has_table = (
        getattr(cfg, "positional_embedding_type", None) == "standard"
        or getattr(cfg, "architecture", None) in _TABLES_OF_ROTATIONS
        or any(kind.__name__ == "HookedTransformer" for kind in type(model).__mro__)
    )
    return ModelLimits(
        d_vocab=d_vocab,
        d_vocab_out=positive("d_vocab_out") or d_vocab,
        n_positions=positive("n_ctx") if has_table else None,
    )


def tokenize(prompts: Sequence[Prompt], tokenizer: Any, limits: ModelLimits) -> list[TokenPrompt]:
    """Turn strings into token ids without special tokens; take token ids as they are.

    Raises:
        PromptFileError: If an answer is not a single known token, or not one of the model's.
        ArgumentError: If there is no tokenizer and the prompts are strings.
    """
    if not prompts[0].is_text:
        token_prompts = [
            TokenPrompt(p, p.clean, p.corrupt, p.answers, p.wrong_answers)
            for p in prompts
            if isinstance(p.clean, list) and isinstance(p.corrupt, list)
        ]
        _check_answer_ids(token_prompts, limits)
        return token_prompts
    if tokenizer is None:
        raise ArgumentError(
            "model",
            f"a model with a tokenizer, because the prompts of {prompts[0].file} are strings",
            None,
        )
    clean = encode(tokenizer, [str(p.clean) for p in prompts])
    corrupt = encode(tokenizer, [str(p.corrupt) for p in prompts])
    _warn_of_unknown_words(prompts, clean, corrupt, tokenizer)
    texts = dict.fromkeys(t for p in prompts for t in (*p.answers, *p.wrong_answers))
    answer_ids = dict(zip(texts, encode(tokenizer, list(texts)), strict=True))
    token_prompts = [
        TokenPrompt(
            source=prompt,
            clean=clean_ids,
            corrupt=corrupt_ids,
            answers=_answer_tokens(prompt, "answers", prompt.answers, answer_ids, tokenizer),
            wrong_answers=_answer_tokens(
                prompt, "wrong_answers", prompt.wrong_answers, answer_ids, tokenizer
            ),
        )
        for prompt, clean_ids, corrupt_ids in zip(prompts, clean, corrupt, strict=True)
    ]
    _check_answer_ids(token_prompts, limits)
    return token_prompts


def encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, without special tokens."""
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        padding=False,
        truncation=False,
        return_attention_mask=False,
    )
    return [list(ids) for ids in encoded["input_ids"]]


def _answer_tokens(
    prompt: Prompt, key: str, texts: list[str], answer_ids: dict[str, list[int]], tokenizer: Any
) -> list[Nested]:
    tokens: list[Nested] = []
    for i, text in enumerate(texts):
        ids = answer_ids[text]
        place = f'["{key}"][{i}]'
        if len(ids) != 1:
            pieces = [str(piece) for piece in tokenizer.convert_ids_to_tokens(ids)]
            hint = ""
            if text != text.strip() and len(encode(tokenizer, [text.strip()])[0]) == 1:
                hint = "; without the space around it, it is one token"
            prompt.fail(
                place,
                "a single token of the model's vocabulary",
                f"{shown(text)}, which is {len(ids)} tokens {shown(pieces)}{hint}",
            )
        if is_unknown(ids, text, tokenizer):
            prompt.fail(
                place,
                "a word that the tokenizer knows",
                f"{shown(text)}, which becomes {tokenizer.unk_token!r}",
            )
        tokens.append(ids[0])
    return tokens


def is_unknown(ids: list[int], text: str, tokenizer: Any) -> bool:
    """Return whether a text has a word in it that the tokenizer does not know."""
    # Some tokenizers name an ordinary special token, such as that of the end of a text, as the
    # one for unknown words; a text that spells it out means it.
    unknown = tokenizer.unk_token_id
    return unknown is not None and unknown in ids and tokenizer.unk_token not in text


def _warn_of_unknown_words(
    prompts: Sequence[Prompt], clean: list[list[int]], corrupt: list[list[int]], tokenizer: Any
) -> None:
    concerned = [
        prompt
        for prompt, *sides in zip(prompts, clean, corrupt, strict=True)
        for text, ids in zip((prompt.clean, prompt.corrupt), sides, strict=True)
        if is_unknown(ids, str(text), tokenizer)
    ]
    if concerned:
        first = concerned[0]
        warnings.warn(
            f"the tokenizer does not know every word of {len(concerned)} of {2 * len(prompts)} "
            f"prompts and writes {tokenizer.unk_token!r} instead; the first is in {first.file}, "
            f"prompts[{first.index}]",
            stacklevel=4,
        )


def _check_answer_ids(prompts: Sequence[TokenPrompt], limits: ModelLimits) -> None:
    """Fail at the first answer that is no token id; or, if the answers are regression targets,
    at the first that has not as many numbers as the output."""
    if are_targets(prompts):
        for prompt in prompts:
            _check_target_size(prompt, limits)
        return
    for prompt in prompts:
        for key, answers in (("answers", prompt.answers), ("wrong_answers", prompt.wrong_answers)):
            place = f'["{key}"]'
            n_dims = len(nested_shape(prompt.source, place, answers))
            if n_dims > 2:
                prompt.source.fail(
                    place,
                    f"token ids [n_answers] or [positions, n_answers] ({_TARGETS_HINT})",
                    f"lists {n_dims} deep",
                )
            for number in numbers(answers):
                if number < 0:
                    prompt.source.fail(
                        place, f"token ids of at least 0 ({_TARGETS_HINT})", str(number)
                    )
                if limits.d_vocab_out is not None and number >= limits.d_vocab_out:
                    prompt.source.fail(
                        place,
                        f"token ids below {limits.d_vocab_out}, the size of the model's output "
                        f"({_TARGETS_HINT})",
                        str(number),
                    )


def _check_target_size(prompt: TokenPrompt, limits: ModelLimits) -> None:
    for key, answers in (("answers", prompt.answers), ("wrong_answers", prompt.wrong_answers)):
        size = nested_shape(prompt.source, f'["{key}"]', answers)[-1]
        if limits.d_vocab_out is not None and size != limits.d_vocab_out:
            prompt.source.fail(
                f'["{key}"]',
                "token ids, which are whole numbers, or targets for "
                f"all {limits.d_vocab_out} numbers of the output",
                f"{size} targets (a number of the file has a fraction)",
            )


def are_targets(prompts: Sequence[TokenPrompt]) -> bool:
    """Whether the answers are regression targets: one decimal point anywhere makes all so."""
    return any(has_float(p.answers) or has_float(p.wrong_answers) for p in prompts)


def bos_token(tokenizer: Any, limits: ModelLimits) -> int:
    """The id of BOS; fails where there is none that the model could read."""
    bos_id = getattr(tokenizer, "bos_token_id", None)
    if bos_id is None:
        why = (
            "the tokenizer has no BOS token"
            if tokenizer is not None
            else "without a tokenizer it is not known which token is BOS"
        )
        raise ArgumentError("prepend_bos", f"False, because {why}", True)
    if limits.d_vocab is not None and bos_id >= limits.d_vocab:
        raise ArgumentError(
            "prepend_bos",
            f"False, because the tokenizer's BOS token has the id {bos_id}, which is not in the "
            f"model's vocabulary of {limits.d_vocab}",
            True,
        )
    return int(bos_id)


def n_shared_tokens(prompts: Sequence[TokenPrompt]) -> int:
    """How many tokens all prompts, clean and corrupt, begin with; one of each is left over."""
    rows = [ids for prompt in prompts for _, ids in prompt.sides()]
    shared = 0
    for tokens in zip(*(row[:-1] for row in rows), strict=False):  # as far as the shortest goes
        if len(set(tokens)) > 1:
            break
        shared += 1
    return shared


def without_prefix(prompt: TokenPrompt, n_tokens: int) -> TokenPrompt:
    """The prompt without its first tokens."""
    return replace(prompt, clean=prompt.clean[n_tokens:], corrupt=prompt.corrupt[n_tokens:])


def with_bos(prompt: TokenPrompt, bos_id: int) -> TokenPrompt:
    """The prompt with BOS in front, unless it begins with it already."""
    clean, corrupt = (ids if ids[:1] == [bos_id] else [bos_id, *ids] for _, ids in prompt.sides())
    return replace(prompt, clean=clean, corrupt=corrupt)


def check_limits(prompts: Sequence[TokenPrompt], limits: ModelLimits) -> None:
    """Fail at the first prompt that the model's embeddings cannot take."""
    for prompt in prompts:
        for key, ids in prompt.sides():
            if not ids:
                prompt.source.fail(key, "at least one token", "none")
            if limits.d_vocab is not None and max(ids) >= limits.d_vocab:
                prompt.source.fail(
                    key,
                    f"token ids below {limits.d_vocab}, the size of the model's vocabulary",
                    str(max(ids)),
                )
            if limits.n_positions is not None and len(ids) > limits.n_positions:
                prompt.source.fail(
                    key,
                    f"at most {limits.n_positions} tokens, the model's number of positions",
                    str(len(ids)),
                )


def padding_token(tokenizer: Any, limits: ModelLimits) -> int:
    """An id to fill up shorter prompts with."""
    # Masked positions do not matter, so that any id will do that the model can embed.
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        token = getattr(tokenizer, name, None)
        if isinstance(token, int) and (limits.d_vocab is None or token < limits.d_vocab):
            return token
    return 0

"""The text of tokens, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_SPACE = "▁"
"""How SentencePiece writes the space before a word, which decoding a single token drops."""


def token_text(tokenizer: Any, token: int) -> str:
    """Return the text of a token with the space before it, or its number if there is no text."""
    if tokenizer is None or token >= len(tokenizer):
        return str(token)
    piece = str(tokenizer.convert_ids_to_tokens(token))
    text = str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
    if piece.startswith(_SPACE) and not text.startswith(" "):
        text = f" {text}"
    return text or piece


def prompt_text(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text of a prompt without BOS before it.

    Where there is no tokenizer: the numbers of its tokens.
    """
    if tokenizer is None:
        return " ".join(map(str, tokens))
    ids = list(tokens)
    if ids[:1] == [tokenizer.bos_token_id]:
        del ids[0]
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)).lstrip(" ")

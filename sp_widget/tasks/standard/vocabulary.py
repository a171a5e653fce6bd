"""Which words are a single token for a tokenizer, and which have to be left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sp_widget.errors import ArgumentError

_N_SHOWN = 8
"""Words that a sentence names at most."""


class Vocabulary:
    """A tokenizer, asked for single tokens; it remembers what it was asked for.

    Tokens are looked up behind other text, as they stand in a prompt: some tokenizers write the
    first word of a text differently.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.n_asked = 0
        """Words, or pairs of words, asked for."""
        self.left_out: list[str] = []
        """Those of them that are not one token each."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def token_after(self, before: str, text: str) -> int | None:
        """Return the id of the one token that `text` is behind `before`, or `None`."""
        start, whole = self.encode(before), self.encode(before + text)
        if whole[:-1] != start or whole[-1] == self._tokenizer.unk_token_id:
            return None
        return whole[-1]

    def words(
        self, what: str, words: str, *, at_least: int, behind: str = "The", space: str = " "
    ) -> dict[str, int]:
        """Return the token id of each of the words of a text that is one token.

        `what` names them in an error. `behind`, `space`: what stands before a word; the space is
        part of its token. Raises `ArgumentError` if there are fewer than `at_least`.
        """
        tokens = {
            word: token
            for word in words.split()
            if (token := self.token_after(behind, space + word)) is not None
        }
        self.note(what, words.split(), tokens, at_least)
        return tokens

    def pairs(
        self, what: str, pairs: str, *, at_least: int
    ) -> dict[tuple[str, str], tuple[int, int]]:
        """Return the token ids of each pair ("one two, three four, ...") of which both are one."""
        asked, tokens = [], {}
        for pair in pairs.split(","):
            first, second = pair.split()
            asked.append(f"{first}/{second}")
            ids = [self.token_after("The", f" {word}") for word in (first, second)]
            if ids[0] is not None and ids[1] is not None:
                tokens[first, second] = (ids[0], ids[1])
        self.note(what, asked, {"/".join(pair) for pair in tokens}, at_least)
        return tokens

    def note(self, what: str, asked: Sequence[str], kept: Collection[str], at_least: int) -> None:
        """Remember what was left out; raise `ArgumentError` if too little was kept."""
        self.n_asked += len(asked)
        self.left_out += [word for word in asked if word not in kept]
        if len(kept) < at_least:
            raise ArgumentError(
                "model",
                f"a tokenizer for which at least {at_least} of {len(asked)} {what} are single "
                "tokens",
                f"{len(kept)} of them",
            )

    def summary(self) -> str:
        """Return, in a sentence, how many words were left out and which."""
        if not self.left_out:
            return f"All {self.n_asked} words that vary are single tokens of this tokenizer."
        more = ", …" if len(self.left_out) > _N_SHOWN else ""
        return (
            "Left out, because not single tokens of this tokenizer: "
            f"{len(self.left_out)} of {self.n_asked} words or pairs of words that vary "
            f"({', '.join(self.left_out[:_N_SHOWN])}{more})."
        )

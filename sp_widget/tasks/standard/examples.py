"""A pair of prompts before it is tokens, and how many different ones are drawn."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Protocol

from sp_widget.errors import ArgumentError
from sp_widget.tasks.standard.vocabulary import Vocabulary

_PATIENCE = 1000
"""Examples drawn in a row that are known already: then there are no others."""


@dataclass(frozen=True)
class Example:
    """A template and the words that fill it, each of one token."""

    template: str
    clean: Mapping[str, str]
    """Name of a place in the template to the word that stands there."""
    corrupt: Mapping[str, str]
    """Likewise; at least one word is another."""
    answers: tuple[int, ...]
    """Token ids of what may follow the clean prompt."""
    wrong_answers: tuple[int, ...]

    @property
    def texts(self) -> tuple[str, str]:
        """The clean and the corrupt prompt."""
        return self.template.format(**self.clean), self.template.format(**self.corrupt)


class ExampleMaker(Protocol):
    """Draws examples of one task, with words that its vocabulary has as single tokens."""

    @property
    def subjects(self) -> Sequence[Any]:
        """What an example can be about. No test prompt is about what a train prompt is about."""

    def example(self, subject: Any, draw: random.Random) -> Example:
        """Return an example about this subject."""


def draw_examples(
    maker: ExampleMaker, n_train: int, n_test: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """Return different train and test examples, which have no subject in common.

    Raises `ArgumentError` if there are not as many.
    """
    draw = random.Random(seed)
    subjects = list(maker.subjects)
    draw.shuffle(subjects)
    # In proportion, but at least one where there is something to be drawn.
    share = round(len(subjects) * n_train / (n_train + n_test))
    share = min(max(share, n_train > 0), len(subjects) - (n_test > 0))
    return (
        _different(maker, subjects[:share], "n_train", n_train, draw),
        _different(maker, subjects[share:], "n_test", n_test, draw),
    )


def _different(
    maker: ExampleMaker, subjects: list[Any], argument: str, n_examples: int, draw: random.Random
) -> list[Example]:
    found: dict[tuple[str, str], Example] = {}
    n_known = n_drawn = 0
    while len(found) < n_examples:
        # All subjects in turn, so that few examples are about many of them.
        example = maker.example(subjects[n_drawn % len(subjects)], draw)
        n_drawn += 1
        if example.texts in found:
            n_known += 1
            if n_known == max(_PATIENCE, len(subjects)):
                raise ArgumentError(
                    argument,
                    f"at most about {len(found)}, because there are no more different prompts "
                    f"about {len(subjects)} subjects",
                    n_examples,
                )
        else:
            n_known = 0
            found[example.texts] = example
    return list(found.values())


def word_positions(vocabulary: Vocabulary, example: Example) -> dict[str, int]:
    """Return the token position of each named word, and that of the last token as "end"."""
    positions: dict[str, int] = {}
    text = ""
    for literal, name, _, _ in Formatter().parse(example.template):
        text += literal
        if name is not None:
            text += example.clean[name]
            positions.setdefault(name, len(vocabulary.encode(text)) - 1)
    return positions | {"end": len(vocabulary.encode(text)) - 1}

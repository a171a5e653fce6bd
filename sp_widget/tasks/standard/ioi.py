"""Indirect object identification (Wang et al. 2022, arXiv 2211.00593)."""

from __future__ import annotations

import random
from itertools import combinations

from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.names import MEN, WOMEN
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
A sentence names two people, one of them again as the giver, and goes on with the other: "When \
Mary and John went to the store, John gave a drink to" is followed by " Mary". The giver was named \
second (ABBA) or first (BABA). In the corrupt prompts three other names stand in the same places, \
no two of them the same (ABC), so that nothing says which one follows."""

# "{A}" and "{B}" are the two people in the order in which they are named.
_TEMPLATES = (
    "When {A} and {B} went to the {place}, {S2} gave a {object} to",
    "After {A} and {B} had met at the {place}, {S2} handed a {object} to",
    "While {A} and {B} were waiting near the {place}, {S2} passed a {object} to",
    "Then {A} and {B} had a long talk at the {place}, and {S2} gave a {object} to",
    "Then {A} and {B} walked home from the {place}. {S2} wanted to give a {object} to",
    "Last week {A} and {B} worked at the {place}. In the end {S2} sold a {object} to",
    "Because {A} and {B} liked the {place}, {S2} brought a {object} to",
    "The day {A} and {B} came back from the {place}, {S2} sent a {object} to",
    "As soon as {A} and {B} had found the {place}, {S2} decided to give a {object} to",
    "Friends since they met at the {place}, {A} and {B} were happy when {S2} gave a {object} to",
)

_PLACES = """
store garden restaurant school hospital office house station market library park beach museum
church farm village cafe theater bank hotel
"""

_OBJECTS = """
ring basketball computer necklace drink snack book letter ball gift phone ticket key coin flower
map hat coat pen
"""


class IndirectObjects:
    """Draws sentences about two people; a subject is a pair of names."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        # Two for the clean prompt and three for the corrupt one.
        self._names = vocabulary.words("names", MEN + WOMEN, at_least=5)
        self._places = list(vocabulary.words("places", _PLACES, at_least=1))
        self._objects = list(vocabulary.words("objects", _OBJECTS, at_least=1))
        self.subjects = list(combinations(self._names, 2))

    def example(self, subject: tuple[str, str], draw: random.Random) -> Example:
        """Return a sentence about these two; who gives and who is named first is drawn."""
        indirect_object, giver = draw.sample(subject, 2)
        order = draw.choice((("{IO}", "{S1}"), ("{S1}", "{IO}")))
        template = draw.choice(_TEMPLATES).replace("{A}", order[0]).replace("{B}", order[1])
        words = {"place": draw.choice(self._places), "object": draw.choice(self._objects)}
        others = draw.sample([name for name in self._names if name not in subject], 3)
        return Example(
            template,
            clean={**words, "IO": indirect_object, "S1": giver, "S2": giver},
            corrupt={**words, **dict(zip(("IO", "S1", "S2"), others, strict=True))},
            answers=(self._names[indirect_object],),
            wrong_answers=(self._names[giver],),
        )

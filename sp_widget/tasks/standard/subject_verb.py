"""Agreement of verb and subject (Linzen et al. 2016, arXiv 1611.01368; Finlayson et al. 2021, arXiv
2106.06087)."""

from __future__ import annotations

import random

from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
A subject and another noun behind it are followed by a verb that agrees with the subject: "The \
keys near the cabinet" by " are", " were" or " have", whatever the number of the second noun. In \
the corrupt prompts only the subject has the other number; the other forms of the verbs are the \
wrong answers."""

_TEMPLATE = "The {subject} {preposition} the {attractor}"

_PREPOSITIONS = "near behind beside with by above below"

_NOUNS = """
key keys, cabinet cabinets, boy boys, girl girls, teacher teachers, student students,
doctor doctors, nurse nurses, lawyer lawyers, author authors, writer writers, artist artists,
actor actors, farmer farmers, guard guards, pilot pilots, driver drivers, singer singers,
dancer dancers, worker workers, manager managers, leader leaders, player players, friend friends,
neighbor neighbors, parent parents, child children, king kings, queen queens, prince princes,
soldier soldiers, officer officers, judge judges, senator senators, minister ministers,
customer customers, visitor visitors, guest guests, tourist tourists, athlete athletes,
coach coaches, scientist scientists, engineer engineers
"""

_VERBS = "is are, was were, has have"


class Agreements:
    """Draws beginnings of sentences; a subject is a noun, singular and plural."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.subjects = list(vocabulary.pairs("nouns", _NOUNS, at_least=2))
        self._prepositions = list(vocabulary.words("prepositions", _PREPOSITIONS, at_least=1))
        verbs = vocabulary.pairs("verbs", _VERBS, at_least=1)
        self._verbs = tuple(zip(*verbs.values(), strict=True))

    def example(self, subject: tuple[str, str], draw: random.Random) -> Example:
        """Return the beginning of a sentence about this noun, in either number."""
        number = draw.randrange(2)
        attractor = draw.choice([noun for noun in self.subjects if noun != subject])
        words = {
            "preposition": draw.choice(self._prepositions),
            "attractor": draw.choice(attractor),
        }
        return Example(
            _TEMPLATE,
            clean={**words, "subject": subject[number]},
            corrupt={**words, "subject": subject[1 - number]},
            answers=self._verbs[number],
            wrong_answers=self._verbs[1 - number],
        )

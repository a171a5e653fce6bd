"""The pronoun that fits a name (Mathwin et al. 2023, "Identifying a preliminary circuit for
predicting gendered pronouns in GPT-2 small")."""

from __future__ import annotations

import random

from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.names import MEN, WOMEN
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
A question tag takes up a first name: "So Mary is a really great friend, isn't" is followed by \
" she", and after "John" by " he". In the corrupt prompts a name of the other gender stands in the \
same place. (The work that the task is from puts "That person" there: then the tokens do not line \
up, and edges also count that only tell a name from another word.)"""

_TEMPLATES = (
    "So {name} is a really great friend, isn't",
    "So {name} is such a good cook, isn't",
    "So {name} is very tall for that age, isn't",
    "So {name} is always late for work, isn't",
    "Well, {name} is quite good at chess, isn't",
    "Well, {name} is coming to the party, isn't",
    "You know, {name} is a famous singer, isn't",
    "I think {name} is a bit tired today, isn't",
)


class Pronouns:
    """Draws questions about somebody; a subject is a name and whether it is a woman's."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        men = vocabulary.words("names of men", MEN, at_least=2)
        women = vocabulary.words("names of women", WOMEN, at_least=2)
        pronouns = vocabulary.words("pronouns", "he she", at_least=2)
        self._names = {False: list(men), True: list(women)}
        self._pronouns = {False: pronouns["he"], True: pronouns["she"]}
        self.subjects = [
            (name, is_woman) for is_woman, names in self._names.items() for name in names
        ]

    def example(self, subject: tuple[str, bool], draw: random.Random) -> Example:
        """Return a question about this person."""
        name, is_woman = subject
        return Example(
            draw.choice(_TEMPLATES),
            clean={"name": name},
            corrupt={"name": draw.choice(self._names[not is_woman])},
            answers=(self._pronouns[is_woman],),
            wrong_answers=(self._pronouns[not is_woman],),
        )

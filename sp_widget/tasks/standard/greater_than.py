"""Years that end after they begin (Hanna, Liu & Variengien 2023, arXiv 2305.00586)."""

from __future__ import annotations

import random
from itertools import product

from sp_widget.errors import ArgumentError
from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
"The war lasted from the year 1732 to the year 17" is followed by two digits that are greater than \
32: these are the answers, and the others the wrong answers. Years are those of the centuries 11 \
to 17 that are two tokens each, from YY02 to YY98. In the corrupt prompts the first year ends with \
01, so that almost any two digits may follow."""

_TEMPLATE = "The {noun} lasted from the year {YY}{XX} to the year {YY}"

_NOUNS = """
war siege reign trial tour project campaign voyage marriage strike study dispute conflict plague
famine investigation expedition program alliance rebellion occupation crisis boom recession feud
drought revolution negotiation construction experiment partnership epidemic contract rivalry
friendship journey effort search treaty ban blockade uprising exhibition regime dynasty empire
kingdom struggle debate movement operation mission decline expansion truce exile captivity
pilgrimage collaboration
"""

_CENTURIES = range(11, 18)


class LaterYears:
    """Draws sentences about what lasted; a subject is a noun and its first year."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        nouns = vocabulary.words("nouns", _NOUNS, at_least=2)
        # Behind a hyphen: some endings, such as 00, make one token with every century.
        tokens = {ending: vocabulary.token_after("-", f"{ending:02}") for ending in range(100)}
        self._endings = {ending: token for ending, token in tokens.items() if token is not None}
        if len(self._endings) < 100:
            raise ArgumentError(
                "model",
                "a tokenizer that has two digits at the end of a year as one token",
                f"one that has {len(self._endings)} of 00 to 99",
            )

        def is_two_tokens(century: int, ending: int) -> bool:
            token = vocabulary.token_after(f"year {century}", f"{ending:02}")
            return token == self._endings[ending]

        years = [(century, ending) for century in _CENTURIES for ending in range(2, 99)]
        centuries = [
            century
            for century in _CENTURIES
            if vocabulary.token_after("year", f" {century}") is not None
            and is_two_tokens(century, 1)
        ]
        self._years = [year for year in years if year[0] in centuries and is_two_tokens(*year)]
        vocabulary.note(
            "years",
            [f"{century}{ending:02}" for century, ending in years],
            {f"{century}{ending:02}" for century, ending in self._years},
            at_least=2,
        )
        self.subjects = list(product(nouns, self._years))

    def example(self, subject: tuple[str, tuple[int, int]], draw: random.Random) -> Example:
        """Return the one sentence about this subject."""
        noun, (century, ending) = subject
        words = {"noun": noun, "YY": str(century)}
        return Example(
            _TEMPLATE,
            clean={**words, "XX": f"{ending:02}"},
            corrupt={**words, "XX": "01"},
            answers=tuple(self._endings[later] for later in range(ending + 1, 100)),
            wrong_answers=tuple(self._endings[not_later] for not_later in range(ending + 1)),
        )

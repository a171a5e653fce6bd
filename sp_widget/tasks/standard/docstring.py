"""The next argument of a Python docstring (Heimersheim & Janiak 2023, "A circuit for Python
docstrings in a 4-layer attention-only transformer", Alignment Forum)."""

from __future__ import annotations

import random

from sp_widget.tasks.standard.examples import Example
from sp_widget.tasks.standard.vocabulary import Vocabulary

DESCRIPTION = """\
The docstring of a Python function describes two arguments, A and B, in the order in which the \
definition has them, and stands before the next ":param": the argument after B follows. All names \
are drawn at random. In the corrupt prompts other names stand in place of A, B and C in the \
definition, and again others in place of A and B in the docstring, so that nothing says which \
argument is next. Wrong answers are the other arguments of both prompts."""

_TEMPLATE = (
    "\ndef {function}(self, {first}, {second}, {A_def}, {B_def}, {C_def}, {last}):\n"
    '    """{summary_1} {summary_2} {summary_3}\n'
    "\n"
    "    :param {A_doc}: {A_word_1} {A_word_2}\n"
    "    :param {B_doc}: {B_word_1} {B_word_2}\n"
    "    :param"
)

_VARIABLES = """
data name file value test new result line user key default request path output node item url model
response text version function log string field start number values sub index error current context
image message check json create size event state row obj parser end files form query fields label
run action target array code num table source msg config first required options ret update module
status group content client filename results last read command base format color settings order
found count match tag title parent call session token server host date description mode expected
project info valid page header option task shape load names port old resource root
"""

_NOUNS = """
sector gap population tree detail mine oil column piece crime unit dark price control cost issue
process position course minute education research subject age force act matter health street
patient class mind church condition paper bank century section activity building sense sort staff
team student language town plan morning committee product practice evidence ground letter foot game
food union role land art support range stage trade voice arm club history account material care
manager record example training window air light quality rule story tax
"""

_FIRST_WORDS = "sector population detail column piece unit control process class section building"


class NextArguments:
    """Draws functions with docstrings; a subject is the argument asked for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        # The function, six arguments, and five others in the corrupt prompt.
        self._variables = vocabulary.words("names of variables", _VARIABLES, at_least=12)
        self._nouns = list(vocabulary.words("nouns", _NOUNS, at_least=6))
        self._summaries = list(
            vocabulary.words("first words", _FIRST_WORDS, at_least=1, behind='"""', space="")
        )
        self.subjects = list(self._variables)

    def example(self, subject: str, draw: random.Random) -> Example:
        """Return a function whose third documented argument is the subject."""
        others = [name for name in self._variables if name != subject]
        function, first, second, a, b, last, *others = draw.sample(others, 11)
        other_a, other_b, other_c, doc_a, doc_b = others
        words = {
            "function": function,
            "first": first,
            "second": second,
            "last": last,
            "summary_1": draw.choice(self._summaries),
        }
        places = ("summary_2", "summary_3", "A_word_1", "A_word_2", "B_word_1", "B_word_2")
        words |= dict(zip(places, draw.sample(self._nouns, len(places)), strict=True))
        clean = {"A_def": a, "B_def": b, "C_def": subject, "A_doc": a, "B_doc": b}
        corrupt = {
            "A_def": other_a,
            "B_def": other_b,
            "C_def": other_c,
            "A_doc": doc_a,
            "B_doc": doc_b,
        }
        wrong = (first, second, a, b, last, *corrupt.values())
        return Example(
            _TEMPLATE,
            clean=words | clean,
            corrupt=words | corrupt,
            answers=(self._variables[subject],),
            wrong_answers=tuple(self._variables[name] for name in wrong),
        )

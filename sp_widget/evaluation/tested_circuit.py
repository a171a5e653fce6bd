"""The results of the tests of a circuit, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sp_widget.evaluation.result_table import html_table, in_words, text_table
from sp_widget.graph.base_graph import Edge

if TYPE_CHECKING:
    from pandas import DataFrame

_TITLES = ("Test", "Result", "Statistic", "p", "Null hypothesis", "Meaning")
_VERDICTS = {True: "passed", False: "failed", None: "cannot tell"}


@dataclass(frozen=True, kw_only=True)
class CircuitTest:
    """One test of a circuit."""

    name: str
    title: str
    statistic: float
    in_words: str
    """The statistic, and what it counts."""
    p: float
    """NaN where the prompts cannot tell."""
    null: str
    """The hypothesis that a small p-value speaks against."""
    passed: bool | None
    """Whether the result speaks for the circuit; `None` where the prompts cannot tell."""
    meaning: str
    """What the result means, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class KnockedOut:
    """An edge of the circuit in the test of minimality."""

    edge: Edge
    effect: float
    """Mean change of a prompt's score, without its sign, when the edge is knocked out."""
    p: float
    """Of the null that this is more than what most random edges do; not corrected."""
    redundant: bool
    """Whether that null is rejected, corrected for the number of edges."""


@dataclass(frozen=True, kw_only=True, repr=False)
class CircuitTests:
    """The tests of one circuit: a table, and each test by its name, `tests["sufficiency"]`."""

    tests: tuple[CircuitTest, ...]
    n_edges: int
    """Edges of the circuit."""
    n_prompts: int
    alpha: float
    """The level of each test."""
    knocked_out: tuple[KnockedOut, ...] = ()
    """The test of minimality edge by edge, if it was made."""

    def __getitem__(self, name: str) -> CircuitTest:
        for test in self.tests:
            if test.name == name:
                return test
        raise KeyError(name)

    def __iter__(self) -> Iterator[CircuitTest]:
        return iter(self.tests)

    def __len__(self) -> int:
        return len(self.tests)

    @property
    def frame(self) -> DataFrame:
        """Return the table for pandas: one row a test, by its name."""
        import pandas

        return pandas.DataFrame([vars(test) for test in self.tests]).set_index("name")

    @property
    def edges(self) -> DataFrame:
        """Return the test of minimality for pandas: `edge`, `effect`, `p`, `redundant`."""
        import pandas

        rows = [(repr(each.edge), each.effect, each.p, each.redundant) for each in self.knocked_out]
        return pandas.DataFrame(rows, columns=["edge", "effect", "p", "redundant"])

    @property
    def _caption(self) -> str:
        edges = f"{self.n_edges:,} edge{'' if self.n_edges == 1 else 's'}"
        return (
            f"Tests of a circuit of {edges} on {self.n_prompts:,} prompts, "
            f"at a level of {self.alpha:g}"
        )

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (each.title, _VERDICTS[each.passed], each.in_words, in_words(each.p), each.null,
             each.meaning)
            for each in self.tests
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{each.title}: {each.meaning} Null: {each.null}" for each in self.tests]
        table = text_table(self._caption, _TITLES[:4], [row[:4] for row in self._rows()])
        return "\n".join([table, "", *lines])

    def _repr_html_(self) -> str:
        return html_table(self._caption, _TITLES, self._rows())

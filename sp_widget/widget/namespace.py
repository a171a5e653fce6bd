"""Where the scores go when the training ends: a variable of the notebook."""

from __future__ import annotations

import builtins
import keyword
import sys
import threading
import unicodedata
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any

from sp_widget.circuits.scores import PruneScores
from sp_widget.errors import StateError


def name_problem(name: str) -> str:
    """Why scores cannot be saved under `name`; empty when they can."""
    name = name.strip()
    if not name:
        return "wanted the name of a variable, got nothing"
    if not name.isidentifier():
        return f"wanted the name of a variable (letters, digits, _), got {name!r}"
    if keyword.iskeyword(name):
        return f"wanted the name of a variable, got {name!r}, a keyword of Python"
    if hasattr(builtins, name):
        return f"wanted a name of your own, got {name!r}, which is built into Python"
    return ""


def notebook_variables() -> MutableMapping[str, Any] | None:
    """The variables of the notebook or IPython session; `None` outside of one."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if shell is None else shell.user_ns


_holders: weakref.WeakValueDictionary[tuple[int, str], Delivery] = weakref.WeakValueDictionary()
"""A place for scores, as variables and name, to the delivery that was the last to claim it."""

_lock = threading.RLock()
"""Guards every delivery: one takes a name over from another."""


class Delivery:
    """Puts scores under a name, and asks before it overwrites anything but scores.

    A name belongs to the training that claimed it last: that of one which began earlier and ends
    later does not overwrite its scores.

    Thread-safe: the training thread delivers while a person answers or renames.

    Args:
        name: of the variable.
        variables: those of the notebook.
        under_way: whether a training goes on whose scores are to be delivered.
        changed: called when another delivery changed what this one says; returns at once.
    """

    def __init__(
        self,
        name: str | None,
        variables: Callable[[], MutableMapping[str, Any] | None] = notebook_variables,
        *,
        under_way: Callable[[], bool] = lambda: False,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._variables = variables
        self._changed = changed
        self._lock = _lock
        self._name = name
        self._under_way = under_way
        self._lost = False
        """Whether another training took the name over."""
        self._scores: PruneScores | None = None
        self._question = ""
        self._outcome = ""

    def begin(self) -> None:
        """A training begins: the name is its own from now on."""
        with self._lock:
            self._claim()

    @property
    def question(self) -> str:
        """What a person is asked before something is overwritten; empty: nothing."""
        with self._lock:
            return self._question

    @property
    def outcome(self) -> str:
        """A sentence about where the last scores went; empty: there are none."""
        with self._lock:
            return self._outcome

    def deliver(self, scores: PruneScores) -> None:
        """Put `scores` under the name, or ask first."""
        with self._lock:
            self._scores = scores
            self._offer()

    def rename(self, name: str | None) -> None:
        """From now on save under `name`, also scores that are there already.

        `None`: there is no name to save under, for now.
        """
        with self._lock:
            if name != self._name:
                self._release()
                self._name = name
                if self._scores is not None or self._under_way():
                    self._claim()
                if self._scores is not None:
                    self._offer()

    def overwrite(self) -> None:
        """The answer yes. Raises `StateError` when nothing was asked."""
        with self._lock:
            self._require_question()
            self._save()

    def keep(self) -> None:
        """The answer no: the variable stays as it is. Raises `StateError` likewise."""
        with self._lock:
            self._require_question()
            self._question = ""
            self._outcome = (
                f"{self._name} was kept. The scores are in .prune_scores of this widget; "
                "another name saves them there."
            )

    def forget(self) -> None:
        """Drop scores and question: a new run begins."""
        with self._lock:
            self._scores = None
            self._lost = False
            self._question = self._outcome = ""
            self._release()

    def _claim(self) -> None:
        place = self._place
        if place is None:
            return
        former = _holders.get(place)
        _holders[place] = self
        self._lost, self._outcome = False, ""
        if former is not None and former is not self and former._under_way():
            former._lost = True
            former._outcome = (
                f"{self._name} belongs to a training that began later. The scores of this one stay "
                "in .prune_scores of this widget; another name saves them there."
            )
            former._changed()
            self._outcome = (
                f"{self._name} was to get the scores of another training, which goes on. It gets "
                "those of this one instead."
            )

    def _release(self) -> None:
        place = self._place
        if place is not None and _holders.get(place) is self:
            del _holders[place]

    @property
    def _place(self) -> tuple[int, str] | None:
        variables = self._variables()
        return None if variables is None or self._name is None else (id(variables), self._key)

    def _offer(self) -> None:
        self._question = ""
        if self._lost:
            # As was said when it was lost.
            return
        variables = self._variables()
        if variables is None:
            self._outcome = "The scores are in .prune_scores of this widget."
        elif self._name is None:
            self._outcome = "The scores wait for a name to be saved under."
        elif self._key in variables and not isinstance(variables[self._key], PruneScores):
            held = type(variables[self._key]).__name__
            self._question = f"{self._name} already holds a value ({held}). Overwrite it?"
            self._outcome = ""
        else:
            self._save()

    def _save(self) -> None:
        variables = self._variables()
        if variables is not None:
            variables[self._key] = self._scores
        self._question = ""
        self._outcome = f"The scores are in the variable {self._name}."

    @property
    def _key(self) -> str:
        # Python reads every identifier in this form: a name typed with ligatures or wide
        # letters is found again only under it.
        return unicodedata.normalize("NFKC", self._name or "")

    def _require_question(self) -> None:
        if not self._question:
            raise StateError("nothing waits to be overwritten")

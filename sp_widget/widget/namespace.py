"""Where the scores go when the training ends: a variable of the notebook."""

from __future__ import annotations

import builtins
import keyword
import sys
import threading
import unicodedata
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


class Delivery:
    """Puts scores under a name, and asks before it overwrites anything but scores.

    Thread-safe: the training thread delivers while a person answers or renames.
    """

    def __init__(
        self,
        name: str | None,
        variables: Callable[[], MutableMapping[str, Any] | None] = notebook_variables,
    ) -> None:
        self._variables = variables
        self._lock = threading.Lock()
        self._name = name
        self._scores: PruneScores | None = None
        self._question = ""
        self._outcome = ""

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
                self._name = name
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
            self._question = self._outcome = ""

    def _offer(self) -> None:
        self._question = ""
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

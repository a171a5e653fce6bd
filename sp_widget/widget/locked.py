"""A widget that several threads may write to."""

from __future__ import annotations

import math
import threading
from typing import Any, ClassVar

import anywidget
import traitlets

from sp_widget.report.bundle import bundled
from sp_widget.widget.message import log_dropped, message_problem, values_in


class LockedWidget(anywidget.AnyWidget):
    """Holds a lock while its traits are written, from the kernel or from the browser.

    `bundle`, of a subclass: the name of its built files.

    ipywidgets keeps the state of a synchronisation on the widget itself: of two threads that
    write at the same time, both lose messages. Write traits with `update`, from any thread.
    """

    bundle: ClassVar[str]

    def __init_subclass__(cls, *, bundle: str = "", **others: Any) -> None:
        # Traits that are added to an instance make a class as well.
        if bundle:
            cls.bundle = bundle
            cls._esm, cls._css = bundled(f"{bundle}.js"), bundled(f"{bundle}.css")
        super().__init_subclass__(**others)

    def __init__(self, **traits: Any) -> None:
        # Before super().__init__, which already writes traits and opens the comm.
        self._lock = threading.RLock()
        super().__init__(**traits)

    @property
    def lock(self) -> threading.RLock:
        """Held while traits are read and written together. Reentrant."""
        return self._lock

    def update(self, **traits: Any) -> None:
        """Set several traits in one message to the browser. Safe from any thread.

        Raises `TraitError` for a name that is not a trait.
        """
        unknown = sorted(set(traits) - set(self.trait_names()))
        if unknown:
            raise traitlets.TraitError(f"{type(self).__name__} has no trait {unknown[0]!r}")
        with self._lock, self.hold_sync():
            for name, value in traits.items():
                self.set_trait(name, value)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        """Return the state as the browser needs it (called by ipywidgets): the defaults too.

        A page without a kernel (`ipywidgets.embed`) leaves out what a widget has from its class,
        and nobody there would know our defaults, nor our scripts.
        """
        return super().get_state(key, drop_defaults=False)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser changed (called by ipywidgets).

        Only traits that are tagged `browser=True`, with values of their kind: what else comes is
        dropped, with a line in the log.
        """
        with self._lock:
            taken = {}
            for name, value in sync_data.items():
                problem = self._problem(name, value)
                if problem:
                    self.drop(problem, {name: value})
                else:
                    taken[name] = value
            super().set_state(taken)

    def drop(self, what: str, content: object) -> None:
        """Say in one line of the log that the browser sent something of no use."""
        log_dropped(self, what, content)

    def _handle_msg(self, message: dict[str, Any]) -> None:
        """Answer the browser (called by the comm)."""
        data = message["content"].get("data")
        problem = message_problem(data)
        if problem:
            self.drop(problem, data)
        else:
            super()._handle_msg(message)

    def _problem(self, name: str, value: object) -> str:
        """Return why the browser may not give this trait this value; empty: it may."""
        trait = self.traits().get(name)
        if trait is None or not trait.metadata.get("browser"):
            return "a trait that it may not set"
        if any(isinstance(each, float) and not math.isfinite(each) for each in values_in(value)):
            return "a number that is none"
        try:
            # With what the class itself checks.
            trait._cross_validate(self, trait._validate(self, value))
        except (traitlets.TraitError, ValueError, TypeError, OverflowError):
            return "a value of another kind"
        return ""

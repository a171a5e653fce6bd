"""A widget that several threads may write to."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import anywidget
import traitlets

from sp_widget.widget.bundle import bundled


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

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over what the browser changed (called by ipywidgets)."""
        with self._lock:
            super().set_state(sync_data)

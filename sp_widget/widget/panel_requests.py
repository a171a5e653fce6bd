"""What a person asks for in the panel, and what is said when it cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from sp_widget.errors import ArgumentError, StateError
from sp_widget.methods.record import HardEvaluation
from sp_widget.session import Session
from sp_widget.widget.comm_routing import responsiveness_note_for_message
from sp_widget.widget.error_text import describe, message_of, shortened
from sp_widget.widget.namespace import Delivery, name_problem
from sp_widget.widget.panel import ControlPanel, RunEdit
from sp_widget.widget.probe_files import is_page
from sp_widget.widget.runs import Runs
from sp_widget.widget.settings import Settings


class PanelRequests:
    """Does what the panel's messages ask for, on whichever thread they arrive.

    An error becomes a sentence in the panel: behind a message from the browser there is nobody
    to catch it.

    Args:
        actions: a command of the panel to what it does; those on settings, scores and the
            validation are added here.
        save: writes everything into the folder of this path.
        wake: called after every request, when there may be something new to show.
    """

    def __init__(
        self,
        panel: ControlPanel,
        settings: Settings,
        session: Session,
        runs: Runs,
        delivery: Delivery,
        *,
        actions: Mapping[str, Callable[[], object]],
        save: Callable[[str], object],
        wake: Callable[[], None],
    ) -> None:
        self._panel = panel
        self._settings = settings
        self._session = session
        self._runs = runs
        self._delivery = delivery
        self._save = save
        self._wake = wake
        self._notice = ""
        self._actions = {
            **actions,
            "overwrite": delivery.overwrite,
            "keep": delivery.keep,
            "evaluate": self._evaluate_soon,
            "estimate": self._estimate,
        }

    def listen(self) -> None:
        """Begin to answer."""
        self._panel.observe(self._take_edit, "values")
        self._panel.observe(self._take_name, "save_as")
        self._panel.on_command(self._obey)
        self._panel.on_method(self._take_method)
        self._panel.on_preset(self._take_preset)
        self._panel.on_run_edit(self._take_run_edit)
        self._panel.on_save(self._take_save)

    @property
    def notice(self) -> str:
        """What a person should know of the last request; empty: nothing."""
        return self._notice

    def tell(self, notice: str) -> None:
        """Say something until the next request."""
        self._notice = notice
        self._wake()

    def _obey(self, command: str) -> None:
        self._panel.update(responsive=responsiveness_note_for_message())
        self._explaining(self._actions[command])

    def _take_edit(self, change: Any) -> None:
        self._change_settings(lambda: self._settings.take_edit(change["new"]))

    def _take_method(self, name: str) -> None:
        self._change_settings(lambda: self._settings.take_method(name))

    def _take_preset(self, name: str) -> None:
        self._change_settings(lambda: self._settings.take_preset(name))

    def _change_settings(self, change: Callable[[], None]) -> None:
        with self._panel.lock:
            self._explaining(change)
            self._settings.show()
        # Once more: now it is known what the new settings will take.
        self._wake()

    def _take_name(self, change: Any) -> None:
        def take() -> None:
            name = change["new"].strip()
            problem = name_problem(name)
            self._panel.update(save_as_problem=problem)
            self._delivery.rename(None if problem else name)

        with self._panel.lock:
            self._explaining(take)

    def _take_run_edit(self, edit: RunEdit) -> None:
        def take() -> None:
            number = edit["number"]
            if "name" in edit:
                self._runs.rename(number, edit["name"])
            elif "shown" in edit:
                self._runs.show(number, edit["shown"])
            else:
                self._runs.delete(number)

        self._explaining(take)

    def _take_save(self, folder: str) -> None:
        def take() -> None:
            name = folder.strip()
            self._save(name)
            where = "as the page" if is_page(name) else "in the folder"
            self._notice = f"Saved {where} {shortened(name)}."

        self._explaining(take)

    def _evaluate_soon(self) -> None:
        """Without waiting for the step in progress."""

        def explain(answer: Future[HardEvaluation]) -> None:
            error = answer.exception()
            self.tell("" if error is None else _in_words(error))

        self._session.evaluate().add_done_callback(explain)

    def _estimate(self) -> None:
        with self._panel.lock:
            self._settings.estimate()

    def _explaining(self, action: Callable[[], object]) -> None:
        self._notice = ""
        try:
            action()
        except Exception as error:
            self._notice = _in_words(error)
        self._wake()


def _in_words(error: BaseException) -> str:
    # Ours say all in their message; of others the kind tells more.
    return message_of(error) if isinstance(error, ArgumentError | StateError) else describe(error)

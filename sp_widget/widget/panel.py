"""The control panel: buttons and status line, and below chart and circuit the tabs.

The view is TypeScript (`js/src/panel/`). Here are the traits that it shows and the messages
that it sends; what a message does is up to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, get_args

import traitlets
from ipywidgets import CallbackDispatcher

from sp_widget.evaluation.diagnosis import Diagnosis
from sp_widget.session import State
from sp_widget.widget.form import Field, Option, Raw
from sp_widget.widget.locked import LockedWidget
from sp_widget.widget.runs import RunData

Command = Literal[
    "start",
    "pause",
    "resume",
    "stop",
    "step",
    "reset",
    "overwrite",
    "keep",
    "evaluate",
    "restore_best",
    "estimate",
    "code",
]

COMMANDS: tuple[Command, ...] = get_args(Command)


LONGEST_PATH = 4096
"""Letters of the path of a folder."""


class Status(TypedDict):
    """What the status line and the progress bar show."""

    state: State
    step: int
    """Steps done."""
    n_steps: int
    """Steps of the whole run."""
    epoch: int
    """Epoch of the last step, counted from 1; 0 before the first."""
    epochs: int
    loss: float | None
    edges: int | None
    """Edges in the hard circuit after the last step."""
    n_edges: int
    seconds_left: float | None
    threads: int | None
    """How many threads the operations of the run use; `None` before that is known."""
    message: str
    """A sentence below the status line; in state `failed`, the error."""
    progress: float
    """From 0 to 1; of the preparation in state `preparing`, otherwise of the training."""
    progress_label: str
    """The progress in words; empty: a percentage is shown."""


def initial_status() -> Status:
    """The status of a panel that nothing has been run from."""
    return Status(
        state="idle",
        step=0,
        n_steps=0,
        epoch=0,
        epochs=0,
        loss=None,
        edges=None,
        n_edges=0,
        seconds_left=None,
        threads=None,
        message="",
        progress=0.0,
        progress_label="",
    )


class Validation(TypedDict):
    """What the panel shows of the hard circuit on the validation data."""

    last: str
    """The last evaluation in words; where there is no validation data, that."""
    last_step: int | None
    best: str
    """The best one in words; empty: there is none."""
    best_step: int | None
    can_evaluate: bool
    can_restore: bool


def no_evaluation(reason: str) -> Validation:
    """What the panel shows of no evaluation."""
    return Validation(
        last=reason,
        last_step=None,
        best="",
        best_step=None,
        can_evaluate=False,
        can_restore=False,
    )


class Tab(TypedDict):
    """One tab of the cockpit."""

    name: str
    """A tab that is no part of the panel is a widget beside it, of the class `sp-tab-<name>`."""
    label: str


TAB_ORDER = ("settings", "faithfulness", "prompts", "runs", "code", "export")
"""Tabs of other names come after these."""


def in_order(tabs: Sequence[Tab]) -> list[Tab]:
    """Return the tabs as they stand on the page."""
    places = {name: place for place, name in enumerate(TAB_ORDER)}
    return sorted(tabs, key=lambda tab: places.get(tab["name"], len(places)))


def own_tabs() -> list[Tab]:
    """The tabs whose content is part of the panel."""
    return [
        Tab(name="settings", label="Settings"),
        Tab(name="runs", label="Runs"),
        Tab(name="code", label="Code"),
    ]


class Outlook(TypedDict):
    """What the panel says of a training before it starts."""

    text: str
    warning: str
    """Why it may fail; empty: it should not."""


class MethodOption(Option):
    """One choice of the field "Method"."""

    summary: str
    """In one line, what it is for."""


class RunEdit(TypedDict, total=False):
    """What a person did to a finished run; one key beside its number."""

    number: int
    name: str
    shown: bool
    delete: bool


_EDITS: dict[str, type] = {"name": str, "shown": bool, "delete": bool}


class ControlPanel(LockedWidget, bundle="panel"):
    """The panel as a widget. All state is in traits, so a reload and a second view show it.

    One thread publishes while another handles what the browser sent; both hold the panel's lock.
    """

    status = traitlets.Dict().tag(sync=True, holds=Status)
    diagnosis = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[Diagnosis])
    """What is off about the run, with what to do; empty: nothing."""
    fields = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[Field])
    """The settings of the method, in display order."""
    values = traitlets.Dict(
        key_trait=traitlets.Unicode(),
        value_trait=traitlets.Union([traitlets.Unicode(), traitlets.Bool()]),
    ).tag(sync=True, holds=dict[str, Raw], browser=True)
    """Field name to what the field holds: text as typed, or the state of a checkbox."""
    problems = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()).tag(
        sync=True
    )
    """Field name to what is wrong with its value."""
    methods = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[MethodOption])
    method = traitlets.Unicode("").tag(sync=True)
    """The name of the method that was chosen."""
    presets = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[Option])
    preset = traitlets.Unicode("custom").tag(sync=True)
    """The preset that the fields follow, or `custom`."""
    outlook = traitlets.Dict().tag(sync=True, holds=Outlook)
    validation = traitlets.Dict().tag(sync=True, holds=Validation)
    runs = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[RunData])
    """The finished runs, oldest first."""
    since_last_run = traitlets.Unicode("").tag(sync=True)
    """How the settings differ from the last finished run; empty: there is none."""
    code = traitlets.Unicode("").tag(sync=True)
    """The Python that repeats the run, as it was when the browser last asked for it."""
    save_as = traitlets.Unicode("prune_scores").tag(sync=True, browser=True)
    """The name that the scores are saved under."""
    save_as_problem = traitlets.Unicode("").tag(sync=True)
    """What is wrong with `save_as`; empty: nothing."""
    overwrite_prompt = traitlets.Unicode("").tag(sync=True)
    """A question answered by the commands `overwrite` and `keep`; empty: nothing is asked."""
    tabs = traitlets.List(traitlets.Dict()).tag(sync=True, holds=list[Tab])
    """In the order of the page. A tab appears when there is something in it."""
    tab = traitlets.Unicode("settings").tag(sync=True, browser=True)
    """The name of the tab in view."""
    responsive = traitlets.Unicode("").tag(sync=True)
    """A note on when clicks take effect; empty: at once."""

    def __init__(
        self,
        *,
        methods: Sequence[MethodOption] = (),
        save_as: str = "prune_scores",
    ) -> None:
        self._commands = CallbackDispatcher()
        self._method_choices = CallbackDispatcher()
        self._preset_choices = CallbackDispatcher()
        self._run_edits = CallbackDispatcher()
        self._saves = CallbackDispatcher()
        super().__init__(
            status=initial_status(),
            methods=list(methods),
            outlook=Outlook(text="", warning=""),
            validation=no_evaluation(""),
            save_as=save_as,
            tabs=own_tabs(),
        )
        self.on_msg(self._handle_message)

    def show_code(self, code: str) -> None:
        """Answer a request for the code, which a person may wait for to copy it."""
        self.update(code=code)
        self.send({"type": "code"})

    def on_command(self, callback: Callable[[Command], object], remove: bool = False) -> None:
        """Call `callback` with each command that a person gives, on the comm's thread."""
        self._commands.register_callback(callback, remove=remove)

    def on_method(self, callback: Callable[[str], object]) -> None:
        """Call `callback` with the name of each method that a person chooses."""
        self._method_choices.register_callback(callback)

    def on_preset(self, callback: Callable[[str], object]) -> None:
        """Call `callback` with the name of each preset that a person chooses."""
        self._preset_choices.register_callback(callback)

    def on_run_edit(self, callback: Callable[[RunEdit], object]) -> None:
        """Call `callback` with each change that a person makes to a finished run."""
        self._run_edits.register_callback(callback)

    def on_save(self, callback: Callable[[str], object]) -> None:
        """Call `callback` with the path of each folder that a person wants to save to."""
        self._saves.register_callback(callback)

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        match content.get("type") if isinstance(content, dict) else None:
            case "command" if content.get("command") in COMMANDS:
                self._commands(content["command"])
            case "method" if isinstance(content.get("method"), str):
                self._method_choices(content["method"])
            case "preset" if isinstance(content.get("preset"), str):
                self._preset_choices(content["preset"])
            case "save" if _is_path(content.get("folder")):
                self._saves(content["folder"])
            case "run" if _is_run_edit(content):
                self._run_edits({name: content[name] for name in content if name != "type"})
            case _:
                self.drop("a message that it does not know", content)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_PATH


def _is_run_edit(content: dict[str, Any]) -> bool:
    edits = set(content) - {"type", "number"}
    return (
        isinstance(content.get("number"), int)
        and len(edits) == 1
        and all(isinstance(content[name], _EDITS.get(name, ())) for name in edits)
    )

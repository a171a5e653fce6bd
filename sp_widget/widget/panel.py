"""The control panel: buttons, status line, progress bar and one field per parameter.

The view is TypeScript (`js/src/panel/`). Here are the traits that it shows and the commands
that it sends; what a command does is up to whoever listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict, get_args

import traitlets
from ipywidgets import CallbackDispatcher

from sp_widget.training.config import SubnetworkProbingConfig
from sp_widget.widget.bundle import bundled
from sp_widget.widget.fields import fields_for, values_for
from sp_widget.widget.locked import LockedWidget

State = Literal["idle", "preparing", "running", "paused", "stopping", "done", "stopped", "failed"]
Command = Literal["start", "pause", "resume", "stop", "step", "reset", "overwrite", "keep"]

COMMANDS: tuple[Command, ...] = get_args(Command)


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
        message="",
        progress=0.0,
        progress_label="",
    )


class ControlPanel(LockedWidget):
    """The panel as a widget. All state is in traits, so a reload and a second view show it.

    One thread publishes while another handles what the browser sent; both hold the panel's lock.
    """

    _esm = bundled("panel.js")
    _css = bundled("panel.css")

    status = traitlets.Dict().tag(sync=True)
    """A `Status`."""
    fields = traitlets.List(traitlets.Dict()).tag(sync=True)
    """A `sp_widget.widget.fields.Field` per parameter, in display order."""
    values = traitlets.Dict().tag(sync=True)
    """Field name to what the field holds: text as typed, or the state of a checkbox."""
    problems = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode()).tag(
        sync=True
    )
    """Field name to what is wrong with its value."""
    save_as = traitlets.Unicode("prune_scores").tag(sync=True)
    """The name that the scores are saved under."""
    save_as_problem = traitlets.Unicode("").tag(sync=True)
    """What is wrong with `save_as`; empty: nothing."""
    overwrite_prompt = traitlets.Unicode("").tag(sync=True)
    """A question answered by the commands `overwrite` and `keep`; empty: nothing is asked."""
    responsive = traitlets.Unicode("").tag(sync=True)
    """A note on when clicks take effect; empty: at once."""

    def __init__(
        self, config: SubnetworkProbingConfig | None = None, *, save_as: str = "prune_scores"
    ) -> None:
        self._commands = CallbackDispatcher()
        config = SubnetworkProbingConfig() if config is None else config
        super().__init__(
            status=initial_status(),
            fields=fields_for(config),
            values=values_for(config),
            save_as=save_as,
        )
        self.on_msg(self._handle_message)

    def on_command(self, callback: Callable[[Command], object], remove: bool = False) -> None:
        """Call `callback` with each command that a person gives, on the comm's thread."""
        self._commands.register_callback(callback, remove=remove)

    def _handle_message(self, _: object, content: Any, buffers: object) -> None:
        if not isinstance(content, dict) or content.get("type") != "command":
            return
        command = content.get("command")
        if command not in COMMANDS:
            self.log.warning("The panel sent an unknown command: %r", command)
            return
        self._commands(command)

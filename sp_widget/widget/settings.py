"""The settings of the next run: what a person types becomes a config, and what it will take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, StateError
from sp_widget.methods.estimate import estimate, preflight
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.session import ACTIVE, LIVE_PARAMETERS, Session
from sp_widget.widget.form import Form
from sp_widget.widget.panel import ControlPanel
from sp_widget.widget.presets import Preset, preset_of
from sp_widget.widget.status import outlook_of


class Settings:
    """Owns what the panel's fields hold. Every method is called under the panel's lock.

    While a run is under way, a change of a live parameter is passed on to it.
    """

    def __init__(
        self,
        config: SubnetworkProbingConfig,
        presets: tuple[Preset, ...],
        panel: ControlPanel,
        session: Session,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None,
    ) -> None:
        self._form = Form.of(config)
        self._presets = presets
        self._panel = panel
        self._session = session
        self._model = model
        self._dataloader = dataloader
        self._validation_dataloader = validation_dataloader
        self._foreseen: SubnetworkProbingConfig | None = None

    @property
    def config(self) -> SubnetworkProbingConfig:
        """What the fields say; a field with a problem has its last good value."""
        return self._form.config

    @property
    def problems(self) -> Mapping[str, str]:
        """Field name to what is wrong with it."""
        return self._form.problems

    def take_edit(self, values: Mapping[str, Any]) -> None:
        """A person changed the fields to `values`."""
        under_way = self._session.state in ACTIVE
        form = self._form.edited(values, under_way=under_way)
        if under_way:
            self._change_live(form.config)
        self._form = form

    def take_preset(self, name: str) -> None:
        """A person chose a preset. Raises `StateError` while a run is under way."""
        if self._session.state in ACTIVE:
            raise StateError("cannot take a preset: a run is under way")
        preset = next((each for each in self._presets if each.name == name), None)
        if preset is None:
            known = [each.name for each in self._presets]
            raise ArgumentError("preset", f"one of {known}", name)
        self._form = Form.of(preset.applied_to(self._form.config))

    def explain(self, error: ArgumentError) -> None:
        """Show beside its field what only the start could find."""
        if error.argument in self._form.values:
            self._form = self._form.with_problem(error.argument, error.reason)
            self._panel.update(problems=self._form.problems)

    def estimate(self) -> None:
        """Make a trial step and show what it tells. Raises `StateError` unless idle.

        Nothing can start meanwhile, because of the lock: it would slow the trial down.
        """
        if self._session.state != "idle":
            raise StateError("cannot make a trial step: reset the run first")
        told = estimate(
            self._model, self._dataloader, self._form.config, self._validation_dataloader
        )
        self._panel.update(outlook=outlook_of(told))

    def show(self) -> None:
        """Bring the fields, and what follows from them, to the browser."""
        config = self._form.config
        self._panel.update(
            values=self._form.values,
            problems=self._form.problems,
            preset=preset_of(config, self._presets),
        )
        if self._session.state not in ACTIVE and config != self._foreseen:
            self._foreseen = config
            told = preflight(self._model, self._dataloader, config, self._validation_dataloader)
            self._panel.update(outlook=outlook_of(told))

    def _change_live(self, config: SubnetworkProbingConfig) -> None:
        live = {
            name: getattr(config, name)
            for name in LIVE_PARAMETERS
            if getattr(config, name) != getattr(self._form.config, name)
        }
        if live:
            self._session.change(**live)

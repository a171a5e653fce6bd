"""The settings of the next run: what a person types becomes a config, and what it will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sp_widget import methods
from sp_widget.data.prompts import PromptDataLoader
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError, StateError
from sp_widget.graph.edge_graph import Edge
from sp_widget.methods.base import Method, MethodConfig, Preset
from sp_widget.methods.estimate import estimate, preflight
from sp_widget.methods.parameter import parameters
from sp_widget.session import ACTIVE, Session
from sp_widget.widget.error_text import shortened
from sp_widget.widget.form import Form, Option, fields_for
from sp_widget.widget.panel import ControlPanel
from sp_widget.widget.status import outlook_of


class Settings:
    """Owns what the panel's fields hold. Every method is called under the panel's lock.

    While a run is under way, a change of a live setting is passed on to it.

    Args:
        config: what the fields show at first, and again when a person comes back to its method.
        official_edges: the known circuit, which one method takes as its scores.
    """

    def __init__(
        self,
        config: MethodConfig,
        panel: ControlPanel,
        session: Session,
        model: PatchableModel,
        dataloader: PromptDataLoader,
        validation_dataloader: PromptDataLoader | None,
        official_edges: frozenset[Edge] | None = None,
    ) -> None:
        self._given = config
        self._official_edges = official_edges
        self._form = Form.of(config)
        self._kept: dict[str, Form] = {}
        """The forms of the methods that a person left, by name."""
        self._panel = panel
        self._session = session
        self._model = model
        self._dataloader = dataloader
        self._validation_dataloader = validation_dataloader
        self._foreseen: MethodConfig | None = None
        self.n_steps = 0
        """Steps of the run that would start now."""

    @property
    def method(self) -> Method:
        """The method that was chosen."""
        return methods.of(self._form.config)

    @property
    def config(self) -> MethodConfig:
        """What the fields say; a field with a problem has its last good value."""
        return self._form.config

    @property
    def problems(self) -> Mapping[str, str]:
        """Field name to what is wrong with it."""
        return self._form.problems

    def take_edit(self, values: Mapping[str, Any]) -> None:
        """A person changed the fields to `values`.

        Those of another method came too late: that method was left meanwhile.
        """
        if values.keys() - self._form.values.keys():
            return
        under_way = self._session.state in ACTIVE
        form = self._form.edited(values, under_way=under_way)
        if under_way:
            self._change_live(form.config)
        self._form = form

    def take_method(self, name: str) -> None:
        """A person chose a method: show its settings. Raises `StateError` while a run is under way,
        or waits to be reset.
        """
        if self._session.state != "idle":
            raise StateError("cannot choose a method: reset the run first")
        method = methods.get(name)
        self._kept[self.method.name] = self._form
        self._form = self._kept.get(name) or Form.of(self._first_config(method))

    def _first_config(self, method: Method) -> MethodConfig:
        config: MethodConfig = method.first_config(self._model, self._dataloader)
        if self._official_edges and "official_edges" in parameters(config):
            known: dict[str, Any] = {"official_edges": self._official_edges}
            return replace(config, **known)
        return config

    def take_preset(self, name: str) -> None:
        """A person chose a preset. Raises `StateError` while a run is under way."""
        if self._session.state in ACTIVE:
            raise StateError("cannot take a preset: a run is under way")
        presets = self._presets()
        preset = next((each for each in presets if each.name == name), None)
        if preset is None:
            known = [each.name for each in presets]
            raise ArgumentError("preset", f"one of {known}", name)
        self._form = Form.of(preset.applied_to(self._form.config))

    def explain(self, error: ArgumentError) -> None:
        """Show beside its field what only the start could find."""
        if error.argument in self._form.values:
            self._form = self._form.with_problem(error.argument, shortened(error.reason))
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
        config, presets = self._form.config, self._presets()
        fields = fields_for(
            # Their own values stand in `values`: the fields change with the method alone.
            type(config)(),
            validation=self._validation_dataloader is not None,
        )
        self._panel.update(
            method=self.method.name,
            fields=fields,
            values=self._form.values,
            problems=self._form.problems,
            presets=[Option(value=each.name, label=each.label) for each in presets],
            preset=preset_of(config, presets),
        )
        if self._session.state not in ACTIVE and config != self._foreseen:
            self._foresee(config)

    def _foresee(self, config: MethodConfig) -> None:
        try:
            told = preflight(self._model, self._dataloader, config, self._validation_dataloader)
        except ArgumentError as error:
            # Such as more edges than the model has.
            self.explain(error)
            return
        self._foreseen, self.n_steps = config, told.n_steps
        self._panel.update(outlook=outlook_of(told))

    def _presets(self) -> tuple[Preset, ...]:
        """The presets of the method; the settings that were brought along first, if they are
        others.
        """
        presets, given = self.method.presets_for(self._model, self._dataloader), self._given
        if type(given) is not self.method.Config or preset_of(given, presets) != CUSTOM:
            return presets
        stated = {name for preset in presets for name in preset.values} or set(parameters(given))
        values = {name: getattr(given, name) for name in sorted(stated)}
        return (Preset("given", "As given from code", values), *presets)

    def _change_live(self, config: MethodConfig) -> None:
        live = {
            name: getattr(config, name)
            for name, each in parameters(config).items()
            if each.live and getattr(config, name) != getattr(self._form.config, name)
        }
        if live:
            self._session.change(**live)


CUSTOM = "custom"
"""The name of no preset: some setting differs from all of them."""


def preset_of(config: MethodConfig, presets: Sequence[Preset]) -> str:
    """Return the name of the preset that `config` follows, or `CUSTOM`."""
    return next((preset.name for preset in presets if preset.fits(config)), CUSTOM)

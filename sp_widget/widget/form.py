"""What the panel's fields hold, and the config that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.session import LIVE_PARAMETERS
from sp_widget.widget.fields import parse_values, values_for
from sp_widget.widget.parameters import Raw


@dataclass(frozen=True)
class Form:
    """Immutable: an edit gives another form."""

    config: SubnetworkProbingConfig
    """A field with a problem has its last good value here."""
    values: Mapping[str, Raw]
    """What each field shows: good values in their canonical spelling, bad ones as typed."""
    problems: Mapping[str, str]
    """Field name to what is wrong with it."""

    @classmethod
    def of(cls, config: SubnetworkProbingConfig) -> Form:
        """The form that shows `config`."""
        return cls(config, values_for(config), {})

    def edited(self, values: Mapping[str, Any], *, under_way: bool) -> Form:
        """The form after a person changed `values` (field name to text or checkbox).

        While a run is under way only the live parameters can change; the others go back.
        """
        taken = {
            name: value
            for name, value in values.items()
            if name in LIVE_PARAMETERS or not under_way
        }
        parsed, problems = parse_values({**self.values, **taken})
        config = replace(self.config, **parsed)
        shown = values_for(config)
        for name in problems:
            if name in shown and name in taken:
                shown[name] = taken[name]
        return Form(config, shown, problems)

    def with_problem(self, name: str, reason: str) -> Form:
        """The same form with a problem that only the start could find."""
        return replace(self, problems={**self.problems, name: reason})

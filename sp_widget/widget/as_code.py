"""A run as the Python that repeats it exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sp_widget import methods
from sp_widget.circuits.metrics import added_metrics
from sp_widget.methods.base import MethodConfig
from sp_widget.report.groups import NodeGroup
from sp_widget.session import Intervention
from sp_widget.types import AblationType
from sp_widget.widget.namespace import notebook_variables


@dataclass(frozen=True)
class Names:
    """What model and data are called in the notebook."""

    model: str = "model"
    dataloader: str = "dataloader"
    validation_dataloader: str | None = None
    """`None`: there is no validation data."""
    scores: str = "prune_scores"


def as_code(
    config: MethodConfig,
    names: Names,
    *,
    interventions: Sequence[Intervention] = (),
    stopped_at: int | None = None,
) -> str:
    """Python that makes the same run, with the same scores to the last bit.

    Args:
        config: of the start, with the seed that was used.
        interventions: what was changed on the way, in order.
        stopped_at: steps done, if not all were.
    """
    loaders = [names.dataloader, "config"]
    if names.validation_dataloader is not None:
        loaders.append(names.validation_dataloader)
    sets_threads = any(each.action == "threads" for each in interventions)
    target = config.faithfulness_target
    lines = [
        *(["import torch", ""] if sets_threads else []),
        "import sp_widget as sp",
        "",
        *([f"# After sp.register_metric({target!r}, ...)."] if target in added_metrics() else []),
        f"method = sp.methods.get({methods.of(config).name!r})",
        "config = method.Config(",
        *(f"    {name}={text}," for name, text in _arguments(config, names.model)),
        ")",
        f"trainer = method.trainer({names.model}, {', '.join(loaders)})",
    ]
    if sets_threads:
        lines += [
            "# The last bits depend on the number of threads.",
            "threads_before = torch.get_num_threads()",
        ]
    done = 0
    for intervention in interventions:
        if intervention.step > done:
            done = intervention.step
            lines.append(f"trainer.run(until_step={done})")
        lines.append(_line(intervention))
    if stopped_at is None:
        # Nothing is left to run after a change behind the last step; then it gives the scores.
        lines.append(f"{names.scores} = trainer.run()")
    else:
        lines.append(f"{names.scores} = trainer.run(until_step={stopped_at})")
    if sets_threads:
        lines.append("torch.set_num_threads(threads_before)")
    return "\n".join(lines) + "\n"


def groups_as_code(groups: Sequence[NodeGroup], names: Names) -> str:
    """Python that draws the circuit with the same groups of nodes; empty: there are none."""
    if not groups:
        return ""
    listed = "".join(f"    sp.{group!r},\n" for group in groups)
    picture = f"sp.snapshot({names.model}, {names.scores}, groups=groups)"
    return f"\ngroups = [\n{listed}]\n{picture}\n"


def names_in_notebook(
    model: object, dataloader: object, validation_dataloader: object | None, *, scores: str
) -> Names:
    """The names by which the next cell can use model and data; where they have none, those of
    the widget's arguments."""
    # A copy: the notebook's own thread changes it.
    variables = dict(notebook_variables() or {})
    validation = None
    if validation_dataloader is not None:
        validation = name_of(validation_dataloader, variables, "validation_dataloader")
    return Names(
        model=name_of(model, variables, "model"),
        dataloader=name_of(dataloader, variables, "dataloader"),
        validation_dataloader=validation,
        scores=scores,
    )


def name_of(value: object, variables: Mapping[str, Any], default: str) -> str:
    """What `value` is called in the notebook: a variable, or a part of one such as `task.model`."""
    # A leading underscore: the outputs of cells, which the next cell renames.
    public = {name: held for name, held in variables.items() if not name.startswith("_")}
    for name, held in public.items():
        if held is value:
            return name
    for name, held in public.items():
        if dataclasses.is_dataclass(held) and not isinstance(held, type):
            for field in dataclasses.fields(held):
                # A field may have no value: this looks through objects of other people.
                if getattr(held, field.name, None) is value:
                    return f"{name}.{field.name}"
    return default


def _arguments(config: MethodConfig, model: str) -> list[tuple[str, str]]:
    """Name and text of every parameter that differs from its default."""
    default = type(config)()
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != getattr(default, field.name):
            found.append((field.name, _text(value, model)))
    return found


def _text(value: Any, model: str) -> str:
    if isinstance(value, AblationType):
        return f"sp.AblationType.{value.name}"
    if isinstance(value, frozenset):
        listed = ", ".join(repr(str(edge)) for edge in sorted(value, key=str))
        return f"[edge for edge in {model}.edges if str(edge) in {{{listed}}}]"
    return repr(value)


def _line(intervention: Intervention) -> str:
    if intervention.action == "threads":
        return f"torch.set_num_threads({intervention.value})"
    if intervention.value is not None:
        return f"trainer.change({intervention.action}={intervention.value!r})"
    return f"trainer.{intervention.action}()"

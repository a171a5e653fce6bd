"""A point of a sweep: what one of its runs is to be."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy

from sp_widget import methods
from sp_widget.checked_files import read_json
from sp_widget.data.prompts import PromptDataLoader, is_whole_number
from sp_widget.engine.patchable_model import PatchableModel
from sp_widget.errors import ArgumentError
from sp_widget.files import write_atomically
from sp_widget.methods.config_text import value_from_json, value_to_json
from sp_widget.methods.parameter import parameters
from sp_widget.methods.run_files import in_file

POINT = "point.json"
POINT_FORMAT = "sp_widget point 1"

METHOD, SAMPLE = "method", "bootstrap_sample"
"""The fields of a point that are no settings of its method."""

MOST_POINTS = 10_000
"""Of a grid: a slip of the pen is more likely than so many runs."""


@dataclass(frozen=True)
class Point:
    """The method, the bootstrap sample and the settings of a run."""

    fields: Mapping[str, Any]
    """By name, as JSON has them; `method` is always there."""

    @property
    def method(self) -> str:
        """The method, as in `sp.methods.get`."""
        return str(self.fields[METHOD])

    @property
    def bootstrap_sample(self) -> int | None:
        """Which sample of the prompts it trains on; `None`: the prompts as they are."""
        sample: int | None = self.fields.get(SAMPLE)
        return sample

    @property
    def name(self) -> str:
        """A hash of the fields in whatever order: the name of the run's folder."""
        text = json.dumps(dict(self.fields), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def config(self, model: PatchableModel, dataloader: PromptDataLoader) -> Any:
        """Return the settings that the method begins with, those of the point in their place."""
        method = methods.get(self.method)
        known = parameters(method.Config)
        settings = {
            name: value_from_json(name, known[name], value, model)
            for name, value in self.fields.items()
            if name not in (METHOD, SAMPLE)
        }
        return replace(method.first_config(model, dataloader), **settings)


Grid = Mapping[str, Iterable[Any]] | Sequence[Mapping[str, Any]]
"""Values for each field, of which every combination is a point; or the points themselves."""


def points_of(grid: Grid) -> list[Point]:
    """Return the points of a grid in its order, each once.

    Raises `ArgumentError` for an unknown method or field, and for a value that is not good for it.
    """
    given: Sequence[Mapping[str, Any]]
    if isinstance(grid, Mapping):
        given = _combinations(grid)
    elif isinstance(grid, Sequence) and all(isinstance(each, Mapping) for each in grid):
        given = grid
    else:
        raise ArgumentError("grid", "lists of values by field, or a list of points", grid)
    if not 0 < len(given) <= MOST_POINTS:
        raise ArgumentError("grid", f"1 to {MOST_POINTS:,} points", len(given))
    points = map(_point, given)
    return list({point.name: point for point in points}.values())


def write_point(folder: Path, point: Point, place: int) -> None:
    """Write what the run in a folder is to be. `place`: in the order of the sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"format": POINT_FORMAT, "place": place, "fields": dict(point.fields)}
    write_atomically(folder / POINT, json.dumps(content, indent=1).encode())


def read_point(folder: Path) -> tuple[Point, int]:
    """Return what `write_point` wrote. Raises `ArgumentError` for anything else."""
    content = read_json(folder / POINT, POINT_FORMAT)
    fields, place = content.get("fields"), content.get("place")
    with in_file(POINT):
        if not isinstance(fields, dict) or not isinstance(fields.get(METHOD), str):
            raise ArgumentError("fields", "those of a point, with a method", fields)
        if type(place) is not int:
            raise ArgumentError("place", "a whole number", place)
    return Point(fields), place


def _combinations(grid: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    lists = {name: _values(name, values) for name, values in grid.items()}
    n_points = math.prod(map(len, lists.values()))
    if n_points > MOST_POINTS:
        raise ArgumentError("grid", f"at most {MOST_POINTS:,} points", n_points)
    return [dict(zip(lists, each, strict=True)) for each in itertools.product(*lists.values())]


def _values(name: str, values: object) -> list[Any]:
    wanted = f"a list of values of {name}"
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ArgumentError("grid", wanted, values)
    try:
        # Never all of them: they may be without end.
        return list(itertools.islice(values, MOST_POINTS + 1))
    except TypeError:
        # A tensor without dimensions.
        raise ArgumentError("grid", wanted, values) from None


def _point(given: Mapping[str, Any]) -> Point:
    method = methods.get(given.get(METHOD, "subnetwork_probing"))
    known = parameters(method.Config)
    fields: dict[str, Any] = {} if METHOD in given else {METHOD: method.name}
    for name, value in given.items():
        if isinstance(value, numpy.generic):
            # An element of an array, such as one of `numpy.logspace`.
            value = value.item()
        if name == METHOD:
            fields[name] = value
        elif name == SAMPLE:
            if value is None:
                continue
            if not is_whole_number(value) or not 0 <= value < 2**63:
                raise ArgumentError(SAMPLE, "None or a whole number of at least 0", value)
            fields[name] = value
        elif name in known:
            known[name].check(name, value)
            fields[name] = value_to_json(name, value)
        else:
            wanted = f"{METHOD}, {SAMPLE} or settings of {method.name}: {', '.join(known)}"
            raise ArgumentError("grid", wanted, name)
    return Point(fields)

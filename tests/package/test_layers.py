"""The floors of the house: each may use those below it, never one above."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sp_widget"

# Floor or single module -> what it may import from the package, itself excepted.
MAY_USE: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "core": {"errors"},
    "training": {"errors", "core"},
    "evaluation": {"errors", "core", "training"},
    "pictures": {"errors", "core", "training", "evaluation"},
    "tasks": {"errors", "core", "training"},
    "session": {"errors", "core", "training", "evaluation"},
    "widget": {"errors", "core", "training", "evaluation", "pictures", "session"},
    "cli": {"_version"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of the module in this file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> Iterator[str]:
    """The dotted names of all that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                name = name_of(path).split(".")
                drop = node.level - (path.name == "__init__.py")
                base = ".".join([*name[: len(name) - drop], *base.split(".")]).strip(".")
            if base == "sp_widget":
                # What is imported from the root may be a floor: `from sp_widget import core`.
                yield from (f"sp_widget.{alias.name}" for alias in node.names)
            else:
                yield base


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_own_floor_and_those_below(path: Path) -> None:
    _, *floors = name_of(path).split(".")
    if not floors:
        return  # The root offers the names of all floors.
    used = {name.split(".")[1] for name in imported_modules(path) if name.startswith("sp_widget.")}
    assert used <= {floors[0]} | MAY_USE[floors[0]]


def test_no_two_floors_use_each_other() -> None:
    for floor, below in MAY_USE.items():
        for other in below:
            assert floor not in MAY_USE[other], f"{floor} and {other} may use each other"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_widget_floor_knows_widgets(path: Path) -> None:
    name = name_of(path)
    if name.startswith("sp_widget.widget"):
        return
    libraries = {imported.split(".")[0] for imported in imported_modules(path)}
    assert not libraries & {"anywidget", "bqplot", "ipywidgets"}


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    declared = {
        canonicalize_name(Requirement(text).name)
        for text in requires("sp-widget") or []
        if "extra ==" not in text
    }
    distributions = packages_distributions()
    undeclared = set()
    for path in MODULES:
        for name in imported_modules(path):
            top = name.split(".")[0]
            if top == "sp_widget" or top in sys.stdlib_module_names:
                continue
            owners = {canonicalize_name(owner) for owner in distributions.get(top, [top])}
            if not owners & declared:
                undeclared.add((name_of(path), top))
    assert not undeclared

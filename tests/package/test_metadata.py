"""What the installed package says of itself agrees with the tree."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import metadata, packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sp_widget
from sp_widget.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_the_same_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert sp_widget.__version__ == version("sp-widget")
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"sp-widget {sp_widget.__version__}\n"


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "sp_widget" / "py.typed").is_file()


def test_constraints_pin_every_dependency_within_its_bounds() -> None:
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    for text in metadata("sp-widget").get_all("Requires-Dist") or []:
        wanted = Requirement(text)
        found = pins.get(canonicalize_name(wanted.name), [])
        assert found, f"constraints.txt does not pin {wanted.name}; run `make lock`"
        for pin in found:
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert specifier.version in wanted.specifier, f"{pin} is outside of {wanted}"


def test_the_tests_run_with_the_pinned_versions() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if not re.match(r"(anywidget|bqplot|ipywidgets|jupyterlab|torch|transformer-lens)==", line):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate():
            (specifier,) = pin.specifier
            # A local part, as in 2.13.0+cpu, says how it was built.
            assert version(pin.name).split("+")[0] == specifier.version, sys.version


def imported_libraries(path: Path) -> Iterator[str]:
    """The first part of the name of all that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    wanted = map(Requirement, metadata("sp-widget").get_all("Requires-Dist") or [])
    declared = {
        canonicalize_name(requirement.name)
        for requirement in wanted
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
    distributions = packages_distributions()
    undeclared = {
        (path.name, library)
        for path in (ROOT / "sp_widget").rglob("*.py")
        for library in imported_libraries(path)
        if library != "sp_widget"
        and library not in sys.stdlib_module_names
        and not {canonicalize_name(name) for name in distributions.get(library, [library])}
        & declared
    }
    assert not undeclared

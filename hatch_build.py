"""Build hook: no wheel, sdist or editable install without the JavaScript bundle.

Why not hatch-jupyter-builder, which also has `ensured-targets`: its npm builder runs `npm install`
where the lock file asks for `npm ci`, and wants npm even where the bundle lies ready, as in an
sdist on a machine without Node.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NOT_SOURCES = {"node_modules", "test"}
METHOD = "docs/method.md"
"""Is in the bundle as well: the settings of the panel link to it."""


class JavaScriptBuildHook(BuildHookInterface):
    """Installs what builds the bundle and builds it, where it is missing or out of date."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        js = root / "js"
        targets = [root / target for target in self.config["ensured-targets"]]
        if out_of_date(targets, [*sources(js), root / METHOD]):
            npm = shutil.which("npm")
            if npm is not None:
                self.app.display_info("Building the JavaScript of the widgets in js/ ...")
                # Of what checks the sources nothing is needed.
                install = [npm, "ci", "--omit=dev", "--no-audit", "--no-fund"]
                subprocess.run(install, cwd=js, check=True)
                subprocess.run([npm, "run", "build"], cwd=js, check=True)
            elif all(target.is_file() for target in targets):
                self.app.display_warning(
                    "npm was not found: using the JavaScript bundle as it is, "
                    "although its sources in js/ are newer."
                )
            else:
                raise RuntimeError(
                    "The JavaScript of the widgets is not built, and npm was not found. "
                    "Install Node.js 20.19 or newer and try again, or install a released wheel, "
                    "which needs no Node.js."
                )
        absent = [str(target) for target in targets if not target.is_file()]
        if absent:
            raise RuntimeError(f"`npm run build` in js/ did not make {', '.join(absent)}.")


def out_of_date(targets: list[Path], made_from: list[Path]) -> bool:
    """Whether a target is missing or older than a file that it is built from."""
    if not all(target.is_file() for target in targets):
        return True
    built = min(target.stat().st_mtime for target in targets)
    # An sdist gives all its files one time, so equal times mean up to date.
    return any(source.stat().st_mtime > built for source in made_from)


def sources(js: Path) -> Iterator[Path]:
    """The files of js/ that the bundle is built from."""
    for entry in js.iterdir():
        if entry.name in NOT_SOURCES:
            continue
        if entry.is_dir():
            yield from (path for path in entry.rglob("*") if path.is_file())
        else:
            yield entry

"""What the browser's code shares with Python is what Python says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate_types import OUT, generated

FILES = generated()


def test_every_generated_file_is_one_that_python_still_writes() -> None:
    assert sorted(path.name for path in OUT.glob("*.ts")) == sorted(path.name for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_types_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "run: python tools/generate_types.py"

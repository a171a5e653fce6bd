"""What the documentation says is supported is what the tests check."""

from __future__ import annotations

from pathlib import Path

from sp_widget.models.families import FAMILIES
from tests import model_kinds, models_table


def test_the_table_of_supported_models_is_up_to_date() -> None:
    written = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert written == models_table.table(), "run: python -m tests.models_table > docs/models.md"


def test_every_supported_architecture_is_checked() -> None:
    assert {model_kinds.bridge(kind).cfg.architecture for kind in model_kinds.KINDS} == set(
        FAMILIES
    )

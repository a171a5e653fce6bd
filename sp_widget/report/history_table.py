"""The history of a training as a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sp_widget.methods.record import StepRecord

if TYPE_CHECKING:
    from pandas import DataFrame

NEEDS_PYARROW = (
    "A Parquet file needs pyarrow, which is not installed: pip install 'sp_widget[parquet]'"
)


def history_frame(history: Sequence[StepRecord]) -> DataFrame:
    """Return one row for each step, one column for each field of a `StepRecord` and each term."""
    import pandas

    common = [field.name for field in fields(StepRecord) if field.name != "terms"]
    # Without a step nobody knows the terms.
    return pandas.DataFrame(
        [record.to_dict() for record in history], columns=None if history else common
    )


def history_csv(history: Sequence[StepRecord]) -> bytes:
    """The table as CSV; a number has all digits that it takes to be read back exactly."""
    text: str = history_frame(history).to_csv(index=False, lineterminator="\n")
    return text.encode()


def history_parquet(history: Sequence[StepRecord]) -> bytes:
    """The table as a Parquet file. Raises `ImportError` that says what to install."""
    if find_spec("pyarrow") is None:
        raise ImportError(NEEDS_PYARROW)
    file = io.BytesIO()
    history_frame(history).to_parquet(file, index=False, engine="pyarrow")
    return file.getvalue()

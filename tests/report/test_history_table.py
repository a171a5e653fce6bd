"""The history as a table, and as files that others can read."""

from __future__ import annotations

import csv
import io
from dataclasses import fields

import pandas
import pytest

from sp_widget.methods.record import StepRecord
from sp_widget.report import history_table
from sp_widget.report.history_table import history_csv, history_frame, history_parquet


def record(step: int, **changes: float | None) -> StepRecord:
    values = dict.fromkeys(COMMON, 0.1 * step)
    terms = {"faithfulness": 0.5 * step, "penalty": 2.0 * step}
    counts = {"step": step, "hard_edge_count": 10 - step}
    return StepRecord.from_dict({**values, **counts, **terms, **changes})


COMMON = [field.name for field in fields(StepRecord) if field.name != "terms"]
HISTORY = [record(1, validation=None), record(2)]


def test_a_row_for_each_step_and_a_column_for_each_field_and_term() -> None:
    frame = history_frame(HISTORY)
    assert list(frame.columns) == [*COMMON, "faithfulness", "penalty"]
    assert frame["penalty"].tolist() == [2.0, 4.0]
    assert frame["step"].tolist() == [1, 2]
    assert frame["hard_edge_count"].tolist() == [9, 8]
    assert frame["validation"].isna().tolist() == [True, False]


def test_no_history_is_an_empty_table_of_what_every_method_measures() -> None:
    assert list(history_frame([]).columns) == COMMON


def test_csv_is_read_back_exactly() -> None:
    rows = list(csv.DictReader(io.StringIO(history_csv(HISTORY).decode())))
    assert [float(row["loss"]) for row in rows] == [0.1, 0.2]
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [row["validation"] for row in rows] == ["", "0.2"]


def test_parquet_is_read_back_exactly() -> None:
    read = pandas.read_parquet(io.BytesIO(history_parquet(HISTORY)))
    assert read["loss"].tolist() == [0.1, 0.2]
    assert read["validation"].isna().tolist() == [True, False]


def test_without_pyarrow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_table, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'sp_widget\[parquet\]'"):
        history_parquet(HISTORY)

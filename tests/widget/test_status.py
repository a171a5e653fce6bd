"""The status line and the progress bar say what the session does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sp_widget.errors import NonFiniteLossError
from sp_widget.session import Snapshot
from sp_widget.widget.status import status_of
from tests.widget.records import record

IDLE = Snapshot(
    state="idle",
    run=0,
    step=0,
    n_steps=0,
    record=None,
    preparation=None,
    seconds_left=None,
    error=None,
)


def status(snapshot: Snapshot, message: str = "") -> dict[str, Any]:
    return dict(status_of(snapshot, epochs=4, n_steps=80, n_edges=99, message=message))


def test_idle_shows_what_would_be_run() -> None:
    shown = status(IDLE)
    assert (shown["n_steps"], shown["epochs"], shown["n_edges"]) == (80, 4, 99)
    assert (shown["progress"], shown["loss"], shown["edges"], shown["epoch"]) == (0, None, None, 0)


def test_preparing_shows_the_batches() -> None:
    shown = status(replace(IDLE, state="preparing", n_steps=40))
    assert (shown["progress"], shown["progress_label"]) == (0, "Preparing")
    shown = status(replace(IDLE, state="preparing", n_steps=40, preparation=(3, 4)))
    assert (shown["progress"], shown["progress_label"]) == (0.75, "3 of 4 batches prepared")


def test_running_shows_the_last_step() -> None:
    snapshot = replace(
        IDLE, state="running", n_steps=40, step=10, record=record(10), seconds_left=3.5
    )
    shown = status(snapshot)
    assert (shown["step"], shown["n_steps"], shown["progress"]) == (10, 40, 0.25)
    assert (shown["loss"], shown["edges"], shown["epoch"]) == (3.0, 6, 1)
    assert shown["seconds_left"] == 3.5


def test_an_error_comes_with_its_kind_before_any_message() -> None:
    failed = replace(IDLE, state="failed", error=NonFiniteLossError("the loss is nan in step 3"))
    shown = status(failed, "cannot pause: the run is failed")
    assert shown["message"] == (
        "NonFiniteLossError: the loss is nan in step 3 cannot pause: the run is failed"
    )

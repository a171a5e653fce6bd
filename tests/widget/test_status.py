"""The status line and the progress bar say what the session does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sp_widget.errors import NonFiniteLossError
from sp_widget.methods.estimate import Estimate, Preflight
from sp_widget.methods.record import HardEvaluation
from sp_widget.session import Snapshot, State
from sp_widget.widget.status import outlook_of, status_of, validation_of
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
    return dict(status_of(snapshot, n_batches=20, n_steps=80, n_edges=99, message=message))


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


EVALUATION = HardEvaluation(step=1200, edges=1, faithfulness=0.123456, regularizer=0.1)


def validation(**changes: Any) -> dict[str, Any]:
    snapshot = replace(IDLE, **changes)
    return dict(validation_of(snapshot, validation=True, target="KL divergence"))


def test_evaluations_are_told_in_words() -> None:
    best = replace(EVALUATION, step=800, edges=31)
    shown = validation(state="done", step=1200, evaluations=(best, EVALUATION), best=best)
    assert (shown["last"], shown["last_step"]) == ("1 edge, KL divergence 0.123", 1200)
    assert (shown["best"], shown["best_step"]) == ("31 edges, KL divergence 0.123", 800)


@pytest.mark.parametrize(
    ("state", "step", "evaluate", "restore"),
    [
        ("idle", 0, False, False),
        ("preparing", 0, False, False),
        ("running", 3, True, False),
        ("paused", 3, True, True),
        ("stopping", 3, False, False),
        ("done", 3, True, True),
        ("stopped", 0, False, True),
        ("failed", 3, True, True),
    ],
)
def test_what_can_be_evaluated_and_restored_when(
    state: State, step: int, evaluate: bool, restore: bool
) -> None:
    shown = validation(state=state, step=step, best=EVALUATION)
    assert (shown["can_evaluate"], shown["can_restore"]) == (evaluate, restore)
    assert validation(state=state, step=step)["can_restore"] is False


def test_without_validation_data_the_reason_is_given() -> None:
    shown = validation_of(replace(IDLE, state="done", step=9), validation=False, target="")
    assert "validation_dataloader" in shown["last"]
    assert shown["can_evaluate"] is shown["can_restore"] is False


def told(needed: int, **changes: Any) -> Preflight:
    common: dict[str, Any] = {"n_edges": 32491, "n_steps": 400, "cache": "device"}
    common |= {"memory_needed": needed, "memory_free": 4_000_000_000}
    return Estimate(**common, **changes) if changes else Preflight(**common)


def test_the_outlook_says_what_a_training_takes() -> None:
    assert outlook_of(told(64_500_000)) == {
        "text": "32,491 edges, 400 steps; needs about 64.5 MB of memory beside the model, "
        "4.0 GB are free.",
        "warning": "",
    }
    text = outlook_of(told(1, seconds_per_step=0.25))["text"]
    assert text.endswith("; 0.25 s a step, 2 min in all.")


def test_too_little_memory_is_warned_of() -> None:
    assert "more memory than is free" in outlook_of(told(5_000_000_000))["warning"]


def test_what_is_wrong_with_the_validation_is_told_beside_the_message() -> None:
    shown = status(replace(IDLE, state="running", validation_problem="NaN there."), "saved")
    assert shown["message"] == "NaN there. saved"


def test_the_number_of_threads_is_told_and_what_to_set_where_it_costs() -> None:
    assert status(IDLE)["threads"] is None
    shown = status(replace(IDLE, state="running", threads=1, threads_note="Set it."), "saved")
    assert (shown["threads"], shown["message"]) == (1, "Set it. saved")

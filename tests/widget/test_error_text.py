"""Any error becomes a short sentence, and a state that the buttons can leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sp_widget.errors import ArgumentError
from sp_widget.widget.error_text import describe, message_of
from sp_widget.widget.widget import SubnetworkProbingWidget
from tests.session.watching import PATIENCE
from tests.widget.browser_messages import click, edit


class MuteError(Exception):
    def __str__(self) -> str:
        raise RecursionError("nothing to say")


class NoTextError(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


HUGE = "x" * 5_000_000
ERRORS = [MuteError(), NoTextError(), RuntimeError(HUGE), ArgumentError("epochs", "less", HUGE)]


def test_an_error_is_told_by_kind_and_message() -> None:
    assert describe(KeyError("no room")) == "KeyError: 'no room'"
    assert message_of(ValueError("no room")) == "no room"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_the_error_its_text_is_short_and_says_the_kind(error: Exception) -> None:
    assert describe(error).startswith(f"{type(error).__name__}: ")
    assert len(describe(error)) < 700
    assert len(message_of(error)) < 700


def test_of_a_long_text_beginning_and_end_are_left() -> None:
    text = describe(RuntimeError(f"device is full {HUGE} 3 bytes wanted"))
    assert text.startswith("RuntimeError: device is full")
    assert text.endswith("3 bytes wanted")
    assert "letters left out" in text


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_run_that_such_an_error_ends_can_be_reset_and_started_again(
    probe: SubnetworkProbingWidget, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(probe._model.engine, "run", fail)
        click(probe, "start")
        with pytest.raises(type(error)):
            probe.wait(PATIENCE)
    status = probe.panel.status
    assert status["state"] == "failed"
    assert type(error).__name__ in status["message"]
    assert len(status["message"]) < 700
    click(probe, "reset")
    click(probe, "start")
    probe.wait(PATIENCE)
    assert probe.panel.status["state"] == "done"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_button_whose_action_fails_so_says_it(
    probe: SubnetworkProbingWidget, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(probe._session, "start", fail)
    click(probe, "start")
    probe._publisher.flush()
    assert probe.panel.status["state"] == "idle"
    assert 0 < len(probe.panel.status["message"]) < 700


def test_a_long_text_in_a_field_does_not_come_back_as_a_long_problem(
    probe: SubnetworkProbingWidget,
) -> None:
    # What is even longer is dropped before anybody reads it.
    long = "9" * 9_000
    edit(probe, learning_rate=long, mask_fn=long)
    assert set(probe.panel.problems) == {"learning_rate", "mask_fn"}
    assert all(len(reason) < 700 for reason in probe.panel.problems.values())


def test_validation_that_gives_nan_is_told_once_and_stays_told(
    make_probe: Callable[..., SubnetworkProbingWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.model_kinds import dataloader

    probe = make_probe(validation_dataloader=dataloader(2, 2))
    new_trainer = probe._new_trainer

    def unsound() -> Any:
        trainer = new_trainer()
        faithfulness = trainer.faithfulness

        def of_validation_nan(logits: Any, here: Any) -> Any:
            value = faithfulness(logits, here)
            is_validation = any(here is batch for batch in trainer.validation_batches)
            return value * float("nan") if is_validation and trainer.step_count == 3 else value

        trainer.faithfulness = of_validation_nan
        return trainer

    monkeypatch.setattr(probe._session, "_trainer_factory", unsound)
    probe.start()
    probe.wait(PATIENCE)
    assert probe.state == "done"
    message = probe.panel.status["message"]
    assert message.startswith("The validation data gave NaN or infinity at step 4")
    probe.reset()
    probe._publisher.flush()
    assert "NaN" not in probe.panel.status["message"]

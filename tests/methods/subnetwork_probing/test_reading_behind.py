"""`run` on a device that works while the host waits: figures are read one step behind.

Only there is it of use, so the tests ask for it on the CPU, where it changes nothing but the order.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sp_widget.engine.patchable_model import patchable_model
from sp_widget.errors import NonFiniteLossError
from sp_widget.methods.record import StepRecord
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds

N_STEPS = 9


def _trainer(behind: int = 1, **settings: Any) -> SubnetworkProbing:
    loader = model_kinds.dataloader()
    config = SubnetworkProbingConfig(epochs=3, seed=0, **settings)
    trainer = SubnetworkProbing(patchable_model(model_kinds.bridge("gpt2")), loader, config, loader)
    assert trainer.n_steps == N_STEPS
    trainer._may_read_behind = behind
    return trainer


def _watched(trainer: SubnetworkProbing, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is launched and read, in its order."""
    seen: list[str] = []
    launch, finish = trainer._launch, trainer._finish

    def launching(step: int) -> Any:
        seen.append(f"launch {step}")
        return launch(step)

    def finishing(launched: Any) -> StepRecord:
        seen.append(f"read {launched.step}")
        return finish(launched)

    monkeypatch.setattr(trainer, "_launch", launching)
    monkeypatch.setattr(trainer, "_finish", finishing)
    return seen


def _all_but_time(trainer: SubnetworkProbing) -> dict[str, Any]:
    state = trainer.state_dict()
    for record in state["history"]:
        record.pop("seconds")
    return state


def _assert_same(one: SubnetworkProbing, other: SubnetworkProbing) -> None:
    a, b = _all_but_time(one), _all_but_time(other)
    assert torch.equal(a.pop("theta"), b.pop("theta"))
    assert a["history"] == b["history"]
    assert a["evaluations"] == b["evaluations"]
    assert torch.equal(a["generator"], b["generator"])
    assert torch.equal(a["validation_generator"], b["validation_generator"])


@pytest.mark.parametrize("every", [None, 1, 4])
def test_a_run_is_what_its_steps_one_by_one_are(every: int | None) -> None:
    trainer, steps = _trainer(evaluate_every=every), _trainer(behind=0, evaluate_every=every)
    trainer.run(progress=False)
    while not steps.done:
        steps.step()
    _assert_same(trainer, steps)


def test_figures_are_read_while_the_next_step_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _trainer(evaluate_every=None)
    seen = _watched(trainer, monkeypatch)
    trainer.run(progress=False, until_step=3)
    assert seen == ["launch 1", "launch 2", "read 1", "launch 3", "read 2", "read 3"]


def test_an_evaluation_and_a_callback_see_the_masks_after_their_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = _trainer(evaluate_every=2)
    seen = _watched(trainer, monkeypatch)
    trainer.run(progress=False, until_step=4)
    first = ["launch 1", "launch 2", "read 1", "read 2"]
    assert seen == [*first, "launch 3", "launch 4", "read 3", "read 4"]

    seen.clear()
    trainer.callbacks.append(lambda record: seen.append(f"callback {record.step}"))
    trainer.run(progress=False, until_step=6)
    assert seen == [f"{what} {step}" for step in (5, 6) for what in ("launch", "read", "callback")]


def test_steps_that_overlap_do_not_count_their_time_twice() -> None:
    trainer = _trainer(evaluate_every=None)
    trainer.step()  # the first one prepares
    started = trainer._finished
    trainer.run(progress=False)
    rest = sum(record.seconds for record in trainer.history[1:])
    assert rest <= trainer._finished - started + 1e-9


def test_what_follows_a_loss_that_is_not_finite_changes_no_mask() -> None:
    """Step 4 is launched, with a sound gradient, before anybody knows of step 3."""
    trainer, sane = _trainer(evaluate_every=None), _trainer(evaluate_every=None)
    sane.run(progress=False, until_step=2)
    calls = 0

    def broken_at_step_3(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return gradient * math.nan if calls == 3 else gradient

    trainer._theta.register_hook(broken_at_step_3)
    with pytest.raises(NonFiniteLossError, match=r"infinite at step 3 .* after step 2"):
        trainer.run(progress=False)
    assert calls == 4
    assert trainer.step_count == 2
    assert torch.equal(trainer.state_dict()["theta"], sane.state_dict()["theta"])

    before = trainer.state_dict()["theta"]
    assert trainer.step().step == 3
    assert not torch.equal(trainer.state_dict()["theta"], before)


def test_an_interrupt_leaves_no_step_out_of_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, whole = _trainer(evaluate_every=None), _trainer(evaluate_every=None)
    launch = trainer._launch

    def interrupted_at_step_5(step: int) -> Any:
        if step == 5:
            raise KeyboardInterrupt
        return launch(step)

    monkeypatch.setattr(trainer, "_launch", interrupted_at_step_5)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(progress=False)
    assert [record.step for record in trainer.history] == [1, 2, 3, 4]

    monkeypatch.setattr(trainer, "_launch", launch)
    trainer.run(progress=False)
    whole.run(progress=False)
    _assert_same(trainer, whole)


def test_a_cpu_reads_at_once() -> None:
    loader = model_kinds.dataloader()
    trainer = SubnetworkProbing(patchable_model(model_kinds.bridge("gpt2")), loader)
    assert trainer._may_read_behind == 0

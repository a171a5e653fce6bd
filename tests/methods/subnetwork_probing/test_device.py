"""What a GPU needs of a step: that nothing in it waits for the device, and half precision.

Measured on the CPU, where the same operations run: reading a number off a tensor, finding the
places of nonzero values or moving a tensor is what makes a host wait for a GPU.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sp_widget.circuits.metrics import in_full_precision
from sp_widget.engine.patchable_model import patchable_model
from sp_widget.methods.base import read_numbers
from sp_widget.methods.subnetwork_probing.config import SubnetworkProbingConfig
from sp_widget.methods.subnetwork_probing.trainer import SubnetworkProbing
from tests import model_kinds

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")


class Waits(TorchDispatchMode):
    """Counts the operations that wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAITS:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def _trainer(kind: str, **settings: Any) -> SubnetworkProbing:
    loader = model_kinds.dataloader()
    config = SubnetworkProbingConfig(epochs=4, seed=3, **settings)
    return SubnetworkProbing(patchable_model(model_kinds.bridge(kind)), loader, config, loader)


@pytest.mark.parametrize("settings", [{}, {"faithfulness_target": "correct_percent"}])
@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "gemma2"])
def test_nothing_in_a_step_waits_for_the_device(kind: str, settings: dict[str, Any]) -> None:
    trainer = _trainer(kind, evaluate_every=None, **settings)
    trainer.step()  # the first one prepares
    with Waits() as waits:
        trainer.step()
    # Adam's own count of its steps is a tensor on the host.
    assert [name for name in waits.seen if name != "_local_scalar_dense"] == []
    assert len(waits.seen) <= 1


def test_the_counter_of_waits_sees_them() -> None:
    with Waits() as waits:
        torch.ones(1).item()
        torch.ones(2).nonzero()
    assert waits.seen == ["_local_scalar_dense", "nonzero"]


def test_numbers_are_read_together_without_losing_digits() -> None:
    measured = {
        "fine": torch.tensor(1 / 3, dtype=torch.float64),
        "count": torch.tensor(7),
        "plain": 0.1,
        "flag": torch.tensor(True),
        "rough": torch.tensor(0.5, dtype=torch.bfloat16),
    }
    with Waits() as waits:
        numbers = read_numbers(measured)
    assert numbers == {"fine": 1 / 3, "count": 7.0, "plain": 0.1, "flag": 1.0, "rough": 0.5}
    assert list(numbers) == list(measured)
    assert len(waits.seen) <= 1


def test_logits_in_half_precision_are_widened_and_others_left_alone() -> None:
    for given, wanted in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        assert in_full_precision(torch.ones(1, dtype=given)).dtype == wanted


@pytest.mark.parametrize("kind", ["gpt2", "neox-parallel", "llama", "gemma2"])
def test_a_model_in_bfloat16_gives_about_the_scores_of_float32(kind: str) -> None:
    """Masks, their gradients and the losses are in float32 in both."""
    scores = []
    for dtype in (torch.bfloat16, torch.float32):
        # Both from weights that bfloat16 can hold.
        bridge = nn.Module.to(model_kinds.bridge.__wrapped__(kind), torch.bfloat16)
        model = patchable_model(nn.Module.to(bridge, dtype))
        config = SubnetworkProbingConfig(epochs=20, seed=3, tree_optimisation=True)
        trainer = SubnetworkProbing(model, model_kinds.dataloader(), config)
        trainer.step()
        theta = trainer.theta
        assert theta.dtype == torch.float32
        assert theta.grad is not None
        assert theta.grad.dtype == torch.float32
        scores.append(torch.cat([s.flatten() for s in trainer.run(progress=False).values()]))
    half, full = scores
    correlation = torch.corrcoef(torch.stack((half, full)))[0, 1].item()
    assert correlation > 0.99

"""Trainings one after another: nothing grows, nothing is lost. `SP_WIDGET_SOAK` says how long."""

from __future__ import annotations

import os

from benchmarks.soak import MOST_MESSAGES, soak

SECONDS = float(os.environ.get("SP_WIDGET_SOAK", "5"))

MOST_GROWTH = 1.02 if SECONDS >= 120 else 1.1
"""Of the memory: what the first runs take varies by more than a leak of many."""


SMALL = """
from tests.model_kinds import bridge, dataloader
model = sp.patchable_model(bridge("native-attention-only"))
config = sp.SubnetworkProbingConfig(epochs=20, seed=1)
probe = sp.SubnetworkProbingWidget(model, dataloader(), config=config, threads=1)
"""


def test_trainings_one_after_another_leave_nothing_behind_and_lose_no_last_state() -> None:
    seen = soak(SECONDS, SMALL)
    assert seen.lost_ends == 0
    assert seen.messages_in_a_second <= MOST_MESSAGES
    assert seen.threads <= 0
    assert seen.handles <= 0
    assert seen.memory < MOST_GROWTH

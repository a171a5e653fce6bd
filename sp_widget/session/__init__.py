"""A training run in the background, without widgets."""

from sp_widget.session.session import Session
from sp_widget.session.state import ACTIVE, ENDED, Intervention, Snapshot, State

__all__ = [
    "ACTIVE",
    "ENDED",
    "Intervention",
    "Session",
    "Snapshot",
    "State",
]

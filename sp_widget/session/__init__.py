"""A training run in the background, without widgets."""

from sp_widget.session.session import LIVE_PARAMETERS, Session
from sp_widget.session.state import ACTIVE, ENDED, Intervention, Snapshot, State
from sp_widget.session.trainer import Trainer

__all__ = [
    "ACTIVE",
    "ENDED",
    "LIVE_PARAMETERS",
    "Intervention",
    "Session",
    "Snapshot",
    "State",
    "Trainer",
]

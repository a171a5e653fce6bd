"""Step records with chosen values."""

from __future__ import annotations

from dataclasses import fields

from sp_widget.methods.record import StepRecord


def record(step: int, **changes: float | None) -> StepRecord:
    """A record of subnetwork probing; a change whose name is no field is one of its terms."""
    common = {field.name for field in fields(StepRecord)}
    values = {
        "step": step,
        "epoch": 1,
        "loss": 3.0,
        "validation": 1.5,
        "validation_hard": 2.5,
        "hard_edge_count": 6,
        "seconds": 0.01,
        **{name: value for name, value in changes.items() if name in common},
    }
    terms = {
        "faithfulness": 1.0,
        "regularizer": 0.2,
        "soft_edge_count": 7.25,
        "learning_rate": 0.1,
        "regularize_lambda": 10.0,
        **{name: value for name, value in changes.items() if name not in common},
    }
    terms["penalty"] = terms["regularizer"] * terms["regularize_lambda"]
    return StepRecord(**values, terms=terms)

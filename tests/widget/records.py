"""Step records with chosen values."""

from __future__ import annotations

from sp_widget.methods.record import StepRecord


def record(step: int, **changes: float | None) -> StepRecord:
    values = {
        "step": step,
        "epoch": 1,
        "loss": 3.0,
        "faithfulness": 1.0,
        "regularizer": 0.2,
        "validation": 1.5,
        "validation_hard": 2.5,
        "soft_edge_count": 7.25,
        "hard_edge_count": 6,
        "accuracy": None,
        "learning_rate": 0.1,
        "regularize_lambda": 10.0,
        "seconds": 0.01,
    }
    terms = {**values, **changes}
    if terms["regularizer"] is not None and terms["regularize_lambda"] is not None:
        terms["penalty"] = terms["regularizer"] * terms["regularize_lambda"]
    return StepRecord.from_dict(terms)

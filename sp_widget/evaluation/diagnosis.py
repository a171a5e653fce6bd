"""What is off about a training, in plain words, and what to do."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TypedDict

from sp_widget.evaluation.evaluation import Evaluation
from sp_widget.methods.record import HardEvaluation, StepRecord

CHANGES_NOTHING = 1e-3
"""Nats, or the target's unit where it is a squared error: less is no effect of an ablation."""

DOES_NOT_MOVE = 1e-8
"""Adam's epsilon: a parameter whose gradient is smaller hardly moves."""

FAR = 0.1
"""Of what the empty circuit loses: the least difference between validation and training that
counts, if the one is also twice the other."""


class Diagnosis(TypedDict):
    """One thing that is off."""

    problem: str
    remedy: str
    """What to do."""


def diagnose(
    history: Sequence[StepRecord],
    *,
    n_edges: int,
    best: HardEvaluation | None = None,
    evaluation: Evaluation | None = None,
    on_training: Evaluation | None = None,
) -> list[Diagnosis]:
    """Return what is off about a training: nothing where all is well.

    Args:
        history: The steps of the run.
        n_edges: Edges of the model.
        best: The best evaluation of the hard circuit on the validation data.
        evaluation: The scores of the run, measured at the size of its circuit among others, and
            with random circuits.
        on_training: The same on training prompts, where those of `evaluation` are others.
    """
    return list(_problems(history, n_edges, best, evaluation, on_training))


def _problems(
    history: Sequence[StepRecord],
    n_edges: int,
    best: HardEvaluation | None,
    evaluation: Evaluation | None,
    on_training: Evaluation | None,
) -> Iterator[Diagnosis]:
    if not history:
        return
    size = history[-1].hard_edge_count
    if history[0].terms.get("largest_gradient", 1.0) < DOES_NOT_MOVE:
        yield Diagnosis(
            problem="The masks are saturated at step 1: no gradient reaches them.",
            remedy="Take an initial mask value nearer to 0.",
        )
    if size == 0:
        yield Diagnosis(
            problem="No edge is left in the circuit.",
            remedy="Lower lambda, or set a circuit size.",
        )
    if best is not None and best.edges in (0, n_edges):
        empty = best.edges == 0
        yield Diagnosis(
            problem=f"The best evaluation is that of {'no edge' if empty else 'the whole model'}.",
            remedy=f"{'Lower' if empty else 'Raise'} lambda, or train longer.",
        )
    if evaluation is None:
        return
    curve = dict(evaluation.curve(evaluation.metrics[0]))
    if 0 not in curve:
        return
    if curve[0] < CHANGES_NOTHING:
        yield Diagnosis(
            problem=(
                "The ablation changes nothing: without any edge the circuit loses only "
                f"{curve[0]:.2g}."
            ),
            remedy=(
                "Use corrupt prompts that differ from the clean ones where the answer is decided, "
                "or another ablation."
            ),
        )
        return
    random = _random_values(evaluation, size)
    if size in curve and random and curve[size] >= statistics.median(random):
        yield Diagnosis(
            problem=(
                f"The circuit of {size:,} edges is no better than random circuits of its size."
            ),
            remedy="Look for a better size on the curve, train longer, or try another method.",
        )
    trained = dict(on_training.curve(evaluation.metrics[0])) if on_training is not None else {}
    if size in curve and size in trained:
        here, there = curve[size], trained[size]
        if here > 2 * there and here - there > FAR * curve[0]:
            yield Diagnosis(
                problem=(
                    f"The circuit loses {here:.2g} on the validation prompts and only {there:.2g} "
                    "on those of the training."
                ),
                remedy="Train on more prompts, and check that both sets are of one kind.",
            )


def _random_values(evaluation: Evaluation, size: int) -> list[float]:
    metric = evaluation.metrics[0]
    found = [each for each in evaluation.measured if each.circuit == "random"]
    return [each.values[metric] for each in found if each.size == size]

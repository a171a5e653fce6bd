"""The curve of an evaluation, drawn with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sp_widget.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sp_widget.evaluation.evaluation import Evaluation

LABELS = {
    "kl_div": "KL(model ‖ circuit), nats",
    "mse": "mean squared error",
    "logit_diff": "logit difference",
    "logit_diff_share": "share of the logit difference",
    "logit_diff_percent": "logit difference, % off",
    "positive_logit_diff": "share of prompts with a positive logit difference",
    "answer_probability": "probability of the answers",
    "accuracy": "accuracy",
}
"""What stands beside the axis, where it is not the metric's name."""


def draw_curve(evaluation: Evaluation, metric: str, axes: Axes | None, label: str) -> Axes:
    """Draw a metric over the sizes on a log axis; the circuit without edges has no place there."""
    known = list(evaluation.frame["metric"].unique())
    if metric not in known:
        raise ArgumentError("metric", f"one of {known}", metric)
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots()
    for ablation in evaluation.ablations:
        name = label if len(evaluation.ablations) == 1 else f"{label}, {str(ablation).lower()}"
        sizes, values = _points(evaluation.curve(metric, "circuit", ablation))
        (line,) = axes.plot(sizes, values, marker=".", label=name)
        color = line.get_color()
        sizes, values = _points(evaluation.curve(metric, "complement", ablation))
        if sizes:
            axes.plot(sizes, values, "--", color=color, label=f"complement of {name}")
        band = [point for point in evaluation.band(metric, "random", ablation) if point[0]]
        if band:
            at, low, high = zip(*band, strict=True)
            axes.fill_between(at, low, high, color="gray", alpha=0.25, label="random circuits")
    axes.set_xscale("log")
    axes.set_xlabel("edges in the circuit")
    # Names and labels are shown as they are: `$` begins no formula.
    axes.set_ylabel(LABELS.get(metric, metric), parse_math=False)
    for text in axes.legend().get_texts():
        text.set_parse_math(False)
    return axes


def _points(curve: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    kept = [point for point in curve if point[0] > 0]
    return [size for size, _ in kept], [value for _, value in kept]

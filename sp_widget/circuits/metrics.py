"""Metrics of a circuit's logits, and those that a training minimises.

All take the circuit's logits at the model's output positions, `[batch, d_vocab]` or
`[batch, positions, d_vocab]`, with the clean logits of the model and the batch, and return one
number for the batch: a mean over its prompts and output positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from sp_widget.data.prompts import PromptPairBatch
from sp_widget.errors import ArgumentError
from sp_widget.types import FaithfulnessTarget, MetricName

Answers = Tensor | Sequence[Tensor]
Metric = Callable[[Tensor, Tensor, PromptPairBatch], Tensor]


def kl_div(
    logits: Float[Tensor, "batch *positions d_vocab"],
    clean_logits: Float[Tensor, "batch *positions d_vocab"],
    batch: PromptPairBatch,
) -> Float[Tensor, ""]:
    """KL(clean model || circuit) in nats, averaged over prompts and output positions."""
    log_p, log_q = log_probabilities(clean_logits), log_probabilities(logits)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def mse(logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, ""]:
    """Mean squared error between the logits and the answers, which have the logits' shape."""
    answers = batch.answers
    if not isinstance(answers, Tensor) or answers.shape != logits.shape:
        got = tuple(answers.shape) if isinstance(answers, Tensor) else "answers of unequal number"
        raise ArgumentError("answers", f"values of shape {tuple(logits.shape)} for 'mse'", got)
    return (logits - answers).square().mean()


def answer(logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, ""]:
    """Minus the mean logit of the answers."""
    return -answer_means(logits, batch.answers).mean()


def wrong_answer(logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, ""]:
    """Minus the mean logit of the wrong answers."""
    return -answer_means(logits, batch.wrong_answers).mean()


def logit_diff(logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, ""]:
    """Mean over prompts of the mean answer logit minus the mean wrong-answer logit."""
    return logit_diffs(logits, batch).mean()


def negative_logit_diff(
    logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch
) -> Float[Tensor, ""]:
    """Minus the mean logit difference. It has no lower bound: a circuit may overshoot the model."""
    return -logit_diff(logits, clean_logits, batch)


def positive_logit_diff(
    logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch
) -> Float[Tensor, ""]:
    """Share of prompts (and output positions) with a positive logit difference."""
    diffs = logit_diffs(logits, batch)
    return (diffs > 0).to(diffs.dtype).mean()


def logit_diff_percent(
    logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch
) -> Float[Tensor, ""]:
    """Mean over prompts of |100 - 100 * circuit logit difference / clean logit difference|.

    The logit difference is the mean answer logit minus the mean wrong-answer logit.
    """
    circuit, clean = logit_diffs(logits, batch), logit_diffs(clean_logits, batch)
    return (100 - 100 * circuit / clean).abs().mean()


def correct_percent(
    logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch
) -> Float[Tensor, ""]:
    """1 - mean probability of the answers (all answers of a prompt together).

    The share of prompts whose argmax is an answer has no gradient; it is recorded beside this
    as `accuracy`. (The reference minimises that share itself, to no effect.)
    """
    return 1 - answer_probability(logits, clean_logits, batch)


def answer_probability(
    logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch
) -> Float[Tensor, ""]:
    """Mean probability of the answers (all answers of a prompt together)."""
    probabilities = logits.softmax(-1)
    return _per_prompt(probabilities, batch.answers, lambda found: found.sum(-1)).mean()


def accuracy(logits: Tensor, clean_logits: Tensor, batch: PromptPairBatch) -> Float[Tensor, ""]:
    """Share of prompts (and output positions) whose argmax is one of the answers."""
    is_best = torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1)
    return _per_prompt(is_best, batch.answers, lambda found: found.amax(-1)).mean()


FAITHFULNESS: dict[FaithfulnessTarget, Metric] = {
    "kl_div": kl_div,
    "mse": mse,
    "answer": answer,
    "wrong_answer": wrong_answer,
    "logit_diff": negative_logit_diff,
    "correct_percent": correct_percent,
    "logit_diff_percent": logit_diff_percent,
}
"""What a training makes smallest."""

METRICS: dict[MetricName, Metric] = {
    "kl_div": kl_div,
    "mse": mse,
    "logit_diff": logit_diff,
    "positive_logit_diff": positive_logit_diff,
    "logit_diff_percent": logit_diff_percent,
    "answer_probability": answer_probability,
    "accuracy": accuracy,
}
"""What an evaluation reports."""

_ADDED: dict[str, Metric] = {}
"""Those of `register_metric`, which trainings minimise and evaluations report."""

LONGEST_NAME = 100
"""Of a metric: it stands in a field of the panel and at the head of a column."""

_OF_EVALUATIONS = ("logit_diff_share",)
"""What an evaluation computes of other metrics."""


def register_metric(name: str, metric: Metric) -> None:
    """Make a metric of your own known by a name, which settings, files and code can hold.

    From then on the name is a metric of `sp.evaluate` and a `faithfulness_target` of every method.
    The same name again replaces it, so that a cell may be run again. What goes on with a run in
    another process has to register it there too: the name is kept, and not the function.

    Args:
        name: An identifier, such as `"hinge"`.
        metric: A function of (circuit's logits, clean logits, batch), the logits of shape
            `[batch, d_vocab]` or `[batch, positions, d_vocab]`, that returns a tensor: one number,
            or one for each prompt, or for each output position of it. To be trained with, it has
            to be the smaller the more faithful the circuit is, and to have a finite gradient.

    Raises `ArgumentError` for a bad name or the name of a metric that comes with the package.
    """
    if not isinstance(name, str) or not name.isidentifier() or len(name) > LONGEST_NAME:
        wanted = f"an identifier of at most {LONGEST_NAME} letters, such as 'hinge'"
        raise ArgumentError("name", wanted, name)
    ours = list(dict.fromkeys([*METRICS, *FAITHFULNESS, *_OF_EVALUATIONS]))
    if name in ours:
        raise ArgumentError("name", f"another name than {', '.join(ours)}", name)
    if not callable(metric):
        raise ArgumentError("metric", "a function of (logits, clean logits, batch)", metric)
    _ADDED[name] = metric


def added_metrics() -> dict[str, Metric]:
    """Return the metrics of `register_metric` by name."""
    return dict(_ADDED)


def metrics_by_name() -> dict[str, Metric]:
    """Return all that an evaluation can report, those of `register_metric` last."""
    ours: dict[str, Metric] = dict(METRICS.items())
    return ours | _ADDED


def faithfulness(
    target: str,
    logits: Float[Tensor, "batch *positions d_vocab"],
    clean_logits: Float[Tensor, "batch *positions d_vocab"],
    batch: PromptPairBatch,
) -> Float[Tensor, ""]:
    """Return what a training makes smallest, by the name of its target.

    Raises `ArgumentError` where a metric of one's own returns no numbers for the prompts.
    """
    if target not in _ADDED:
        return FAITHFULNESS[cast(FaithfulnessTarget, target)](logits, clean_logits, batch)
    value = _ADDED[target](logits, clean_logits, batch)
    good = ((), logits.shape[:1], logits.shape[:-1])
    if not isinstance(value, Tensor) or value.shape not in good or not value.is_floating_point():
        wanted = (
            f"{target} to return a tensor of one number, or one for each of the {len(logits)} "
            "prompts (and its output positions)"
        )
        tensor = isinstance(value, Tensor)
        got = f"{value.dtype} of shape {tuple(value.shape)}" if tensor else type(value)
        raise ArgumentError("faithfulness_target", wanted, got)
    return value.mean()


def require_gradient(
    target: str, value: Float[Tensor, ""], logits: Float[Tensor, "batch *positions d_vocab"]
) -> None:
    """Raise `ArgumentError` unless a metric of one's own gives the logits a finite gradient."""
    if target not in _ADDED:
        return
    wanted = f"{target} to have a finite gradient with respect to the logits"
    gradient: Tensor | None = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, logits, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ArgumentError("faithfulness_target", wanted, "none: it is computed without them")
    n_bad = int((~gradient.isfinite()).sum())
    if n_bad:
        got = f"NaN or infinity for {n_bad:,} of {gradient.numel():,} logits"
        raise ArgumentError("faithfulness_target", wanted, got)


def logit_diffs(values: Tensor, batch: PromptPairBatch) -> Float[Tensor, "batch *positions"]:
    """Mean answer value minus mean wrong-answer value, prompt by prompt."""
    return answer_means(values, batch.answers) - answer_means(values, batch.wrong_answers)


def answer_means(values: Tensor, answers: Answers) -> Float[Tensor, "batch *positions"]:
    """Mean value at the answer tokens, prompt by prompt."""
    return _per_prompt(values, answers, lambda found: found.mean(-1))


def _per_prompt(
    values: Tensor, answers: Answers, reduce: Callable[[Tensor], Tensor]
) -> Float[Tensor, "batch *positions"]:
    """Values at the answer tokens, reduced over the answers; answers may differ in number."""
    if isinstance(answers, Tensor):
        if answers.dim() == values.dim() - 1:
            # One set of answers a prompt, the same at every output position.
            answers = answers.unsqueeze(1).expand(-1, values.shape[1], -1)
        return reduce(values.gather(-1, answers))
    found = []
    for value, tokens in zip(values, answers, strict=True):
        tokens = tokens.expand(*value.shape[:-1], -1) if value.dim() > tokens.dim() else tokens
        found.append(reduce(value.gather(-1, tokens)))
    return torch.stack(found)


def in_full_precision(logits: Tensor) -> Tensor:
    """Logits of a model in half precision as float32: a loss sums over thousands of them."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def log_probabilities(logits: Float[Tensor, "*shape d_vocab"]) -> Float[Tensor, "*shape d_vocab"]:
    """Return the logarithms of the probabilities of all tokens."""
    return logits.log_softmax(-1)
